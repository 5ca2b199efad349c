"""Every bound that is not a setting, named, with its unit and its reason."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# --- what a caller may send -------------------------------------------------------------------
ID_CHARS_MAX: Final = 128
"""Characters of `video_id` and `organization_id`: a UUID has 36, a course key with run about 80."""
FIELD_BYTES_MAX: Final = 4 * KIB
"""Bytes of one text field; the longest that means anything is a digest of 64 characters."""
FIELDS_MAX: Final = 16
"""Parts of one form; the handshake knows four."""
PART_HEADER_BYTES_MAX: Final = 8 * KIB
"""Bytes of one part's headers; browsers send about 200."""
SUBTITLES_BYTES_MAX: Final = MIB
"""Bytes of subtitles that come with a recording; a day of speech has about as many."""
FORM_OVERHEAD_BYTES: Final = SUBTITLES_BYTES_MAX + 256 * KIB
"""What boundaries, headers and fields may add to a file's size in `Content-Length`."""
SNIFF_BYTES: Final = 64
"""Leading bytes that decide the container; the longest signature looked at ends at byte 40."""
CHUNK_BYTES: Final = 256 * KIB
"""One read, hash and write: large enough for disk speed, small enough for many at once."""
DRAIN_BYTES_MAX: Final = 32 * MIB
"""Of a refused body this much is read and dropped, so that the client gets to see the answer."""
DRAIN_S_MAX: Final = 5.0
"""Seconds for the same; a slow client is cut off instead."""
UPLOAD_STALL_S: Final = 60.0
"""Seconds without a byte after which an upload is given up and its thread freed."""
PROGRESS_BYTES: Final = 64 * KIB
"""What must have come of an upload for it not to count as silent: see `GIVE_WAY_S`."""
GIVE_WAY_S: Final = 10.0
"""Seconds of silence after which an upload loses its place to a newcomer when all are taken."""
TURN_S: Final = 1.0
"""Seconds in which the place of such an upload becomes free."""
HEAD_S: Final = 10.0
"""Seconds in which a request's head and a short body must be whole; a slower client is cut off."""
UPLOAD_S_MAX: Final = 3600.0
"""Seconds for one whole upload: the longest that Cloud Run lets a request last."""
FIRST_CHUNK_BYTES: Final = 4 * KIB
"""One read until the file's first bytes are known, so that a wrong type is refused early."""
PREAMBLE_BYTES_MAX: Final = 4 * KIB
"""Bytes before a form's first boundary; hardly a client sends any."""
SMALL_BODY_BYTES: Final = 64 * KIB
"""Of a refused body this much is dropped by gunicorn itself, and the connection stays open."""
CONFIRM_BYTES_MAX: Final = 16 * KIB
"""Bytes of a confirmation: two fields."""
BUSY_RETRY_S: Final = 30
"""`Retry-After` when the disk or the queue is full: about the time that a short job takes."""
UNAVAILABLE_RETRY_S: Final = 5
"""`Retry-After` when a store or the bus does not answer."""
GLANCE_S: Final = 1.0
"""Seconds for which a count or a readiness check is remembered, so that it is not run for each
request."""
TRACE_CHARS_MAX: Final = 8 * KIB
"""Characters of a traceback that are kept with the event of an internal error."""
ANNOUNCEMENT_BYTES_MAX: Final = 16 * KIB
"""Bytes of a direct upload's announcement: five members."""
UPLOAD_TYPE_CHARS_MAX: Final = 128
"""Characters of the `content_type` that a direct upload announces."""
OPEN_UPLOADS_MAX: Final = 1000
"""Direct uploads that the embedded service keeps open at once; each is a folder with a file."""
UPLOAD_PIECES_MAX: Final = 2
"""Pieces of one direct upload that are taken at once: the one that goes on after a cut which was
not noticed here, and the one that was cut. One URL must not hold the places of all others."""
SWEEP_UPLOADS_MAX: Final = 20
"""Direct uploads that one sweep finishes; each is read as a whole."""

# --- work -------------------------------------------------------------------------------------
CLAIMS_MAX: Final = 12
"""Workers that may vanish over one job before it counts as poison and fails."""
RETRY_DELAYS_S: Final = (60, 300, 900)
"""Seconds before the first, second and every further try of a failed step (row A18)."""
HISTORY_MAX: Final = 200
"""Changes kept with a job; three days of callbacks make about 60."""
OUTAGE_RETRY_MAX_S: Final = 3600
"""Longest time until a step is tried again that an outage stopped: a large recording is fetched for
each try. Three days of them make about 80."""
FORMER_RUNS_MAX: Final = 32
"""Runs that an id had before and that its record still knows: each is a sender's own new try."""
WARNINGS_MAX: Final = 20
"""Warnings kept with a job."""
REASON_CHARS_MAX: Final = 500
"""Characters of a failure reason or warning."""
REPUBLISH_MAX_S: Final = 3600
"""Longest pause between two republications of a waiting job's message."""
SWEEP_BATCH: Final = 200
"""Jobs that one sweep step loads at once."""
SWEEP_JOBS_MAX: Final = 20_000
"""Jobs that one sweep handles before it leaves the rest to the next."""
SWEEP_UNREAD_TOLD_MAX: Final = 20
"""Jobs with unreadable records that a sweep names, each in a line; the others it only counts."""
MESSAGE_BYTES_MAX: Final = 16 * KIB
"""Bytes of one bus message; Pub/Sub would take 10,000,000."""

# --- pieces ------------------------------------------------------------------------------------
PIECE_LEASES: Final = 4
"""Leases that a piece's own lease is long. 64 workers that renew theirs in one record every 40 s
write to it less than twice a second, which Firestore takes."""
PLAN_PATIENCE_S: Final = 180.0
"""Seconds in which a worker gives back what it cannot read the plan of, until the recording is cut
anew: a deployment, in which two releases work side by side, is over by then. Twice as long each
time, up to OUTAGE_RETRY_MAX_S."""
CUTS_MAX: Final = 8
"""Cuts of one recording: a few ways to make it smaller than its source, and one for each time that
the plan could not be read. Seven of those take three hours and more; after them it stays whole."""
PIECES_MAX: Final = 700
"""Pieces of one recording, picture and sound together; a board of them takes about 4 KiB."""

# --- sets of renditions -----------------------------------------------------------------------
SET_FILES_MAX: Final = 120_000
"""Files of one set: a day in segments of 6 s, eight renditions and the sound."""
SET_MANIFEST_BYTES_MAX: Final = 48 * MIB
"""Bytes of a set's manifest: 400 for each of its files."""
SETS_REMEMBERED: Final = 8
"""Manifests that a process keeps in memory; one of an hour's recording takes about 2 MB."""
SET_CACHED_S: Final = 3600.0
"""Seconds for which a player may keep a file of a set."""
SET_SIGNED_S: Final = 900.0
"""Seconds that a store's own URL of a file lives, to which a player is sent on."""
SET_SENT_ON_BYTES: Final = 64 * KIB
"""Bytes from which on a player is sent on; for less that is more than sending them."""
SET_RETRY_S: Final = 1
"""`Retry-After` where too many files of sets are on their way: one takes about as long."""

# --- pushed messages --------------------------------------------------------------------------
PUSH_ACK_S: Final = 600.0
"""Pub/Sub's longest wait for the answer to a push; then the message is delivered again. The
request timeout of a service on Cloud Run must be as long."""
PUSH_STEP_S: Final = 540.0
"""Seconds for one step of a pushed message, from its start to its recording. What is left until
`PUSH_ACK_S` is for waiting its turn and for calls that are tried again."""
PUSH_COMMIT_S: Final = 90.0
"""The last part of `PUSH_STEP_S`, kept for what follows an encode: 500 MB to the object store at
10 MB/s, and the record. So fetching, probing and encoding together have 450 s."""
PUSH_WAIT_S: Final = 20.0
"""Seconds that a push waits for the one before it; then it is refused and delivered again. On
Cloud Run no push ever waits: it gives an instance one request at a time."""
PUSH_WAITING_MAX: Final = 4
"""Pushes that wait so at the same time; each holds a thread, and `/health` needs one too."""

# --- delivery ---------------------------------------------------------------------------------
DELIVERY_FIRST_DELAY_S: Final = 5.0
"""Seconds before the second attempt at the store webhook."""
DELIVERY_MAX_DELAY_S: Final = 4 * 3600.0
"""Longest pause between two attempts, unless `Retry-After` asks for more."""
RETRY_AFTER_MAX_S: Final = 24 * 3600.0
"""A longer `Retry-After` is cut to a day: a typing error must not lose the delivery."""
JITTER: Final = 0.25
"""Each pause is stretched by up to this share, so that many jobs do not return at once."""
INTERIM_ANSWERS_MAX: Final = 100
"""Interim answers (1xx) before an LMS's answer; servers send one or two."""
ANSWER_BYTES_MAX: Final = 64 * KIB
"""Bytes read of an LMS's answer body; the rest is not looked at."""
ANSWER_BODY_S_MAX: Final = 5.0
"""Seconds for the same; the status is known by then."""

# --- media ------------------------------------------------------------------------------------
PIXELS_MAX: Final = 8192 * 4320
"""Largest picture that is decoded: 8K, the largest that cameras record."""
DURATION_MAX_S: Final = 24 * 3600.0
"""Longest recording: a day."""
STREAMS_MAX: Final = 64
"""Streams of a file; recorders write fewer than ten."""
FRAME_RATE_MAX: Final = 60.0
"""Frames a second of an output; faster sources are thinned out."""
PROBE_WALL_S: Final = 120.0
"""Seconds for one probe; 500 MB of packets take about one."""
PROBE_MEMORY_BYTES: Final = 2 * GIB
"""Address space of the probe's process."""
ENCODE_MEMORY_BYTES: Final = 6 * GIB
"""Address space of the encoder's process; a 4K60 source needs about 2 GiB."""
STALL_S: Final = 120.0
"""Seconds without progress after which the encoder counts as hung."""
STDERR_BYTES_MAX: Final = 32 * KIB
"""The end of the encoder's messages that is kept."""

# --- images -----------------------------------------------------------------------------------
IMAGE_BYTES_MAX: Final = 20 * MIB
"""Bytes of an image (row B10)."""
IMAGE_PIXELS_MAX: Final = 120_000_000
"""Pixels of an image: telephones make pictures of 108 megapixels. 16,384 x 16,384 are 268."""
IMAGE_SIDE_MAX: Final = 16_383
"""The longest side that a WebP can have; telephones' panoramas end at 16,382."""
IMAGE_FRAMES_MAX: Final = 1000
"""Pictures of an animation."""
IMAGE_ANIMATION_PIXELS_MAX: Final = 300_000_000
"""Pixels of all pictures of an animation; 20 seconds of 1280 x 720 at 15 a second have 276."""
IMAGE_SCANS_MAX: Final = 64
"""Scans of a progressive JPEG: encoders write about ten, and each costs a pass over all pixels."""
IMAGE_PARTS_MAX: Final = 100_000
"""Segments or chunks of an image; a PNG of 20 MiB in chunks of 8 KiB has 2,560."""
PROFILE_BYTES_MAX: Final = 4 * MIB
"""Bytes of a colour profile, inflated; those of printing presses have up to 2 MiB."""
IMAGE_MEMORY_BYTES: Final = 4 * GIB
"""Address space of a process that decodes images: 120 million pixels take 0.4 GB as decoded, and
an encoder may need several times that."""
IMAGE_WALL_S: Final = 300.0
"""Seconds for making all variants of one image, and for judging them."""

# --- the service ------------------------------------------------------------------------------
KEY_CHARS_MIN: Final = 16
"""Characters of a service key; shorter ones can be guessed."""
KEY_GUESSES_MAX: Final = 20
"""Wrong keys that one source may present in `KEY_GUESSES_S`; a backend whose key was changed has
an operator long before."""
KEY_GUESSES_S: Final = 60.0
"""Seconds for the same, and the longest that a source then waits."""
KEY_SOURCES_MAX: Final = 10_000
"""Sources of wrong keys, and of good ones, that are remembered at once: some 2 MB each."""
POLL_S: Final = 0.05
"""Pause of an idle embedded worker between two looks at the bus: the most that a job waits.

A tree of six idle processes takes about 3% of a core for it."""
SILENT_BUS_PAUSE_MAX_S: Final = 5.0
"""Longest pause of such a worker while the bus does not answer; each is twice the one before."""
SILENT_BUS_TOLD_S: Final = 60.0
"""Pause between two log lines of a worker about that: the disk that is full may be the log's."""
STOP_S: Final = 10.0
"""From the request to stop until the last process is gone; Cloud Run gives as long."""
MESSAGE_DELIVERIES_MAX: Final = 100
"""Handouts of a message before it is buried: Pub/Sub's own upper bound."""
DELETE_BATCH: Final = 500
"""Objects that are handed to the store at once to be deleted."""
ORPHAN_SWEEP_EVERY_S: Final = 600.0
"""Pause between two searches for orphans; each lists the whole store."""
ORPHAN_RUNS_MAX: Final = 100_000
"""Live runs that a search remembers, so that it asks for each only once: some 10 MB."""
SFTP_CONNECT_S: Final = 30.0
"""Seconds for connecting and logging in by SFTP: servers may wait for names and for PAM."""
SFTP_STALL_S: Final = 60.0
"""Seconds in which a server of SFTP takes no bytes and answers nothing, until it is given up."""
CONNECT_TIMEOUT_S: Final = 10.0
"""Seconds for a connection to the LMS to open."""
RESTART_PAUSES_S: Final = (0.2, 1.0, 3.0, 10.0)
"""Pauses before a process that ended by itself is started again; the last one repeats."""
RESTART_FORGIVEN_S: Final = 60.0
"""A process that ran this long starts again at the first pause."""
