variable "project_id" {
  description = "Google Cloud project that Lectern runs in."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be a project's id (6 to 30 lower-case letters, digits and hyphens), not its name or number."
  }
}

variable "region" {
  description = "Region of everything: services, bucket, database, messages. The database can never move."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be one region, such as europe-west1."
  }
}

variable "name" {
  description = "What the names of all resources begin with; another one makes a second deployment in the same project."
  type        = string
  default     = "lectern"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,11}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 13 lower-case letters, digits and hyphens: an account's id has at most 30 with what follows."
  }
}

variable "images" {
  description = "Images by digest; null until they are pushed, and then only what they need is made."
  type = object({
    receiver   = string
    transcoder = string
    confirmer  = string
    functions  = string
  })
  default = null

  validation {
    condition     = var.images == null ? true : alltrue([for image in values(var.images) : can(regex("@sha256:[0-9a-f]{64}$", image))])
    error_message = "Each image must be given by its digest: …@sha256:… with 64 hexadecimal digits."
  }
}

variable "lms_store_url" {
  description = "The LMS's store webhook (LMS_STORE_URL)."
  type        = string

  validation {
    condition     = can(regex("^https://[^/?#@]+", var.lms_store_url))
    error_message = "lms_store_url must begin with https:// and hold no password: recordings travel there."
  }
}

variable "sftp" {
  description = "The LMS's storage, where results of POST /compress/ go by SFTP, and its confirmation API; null without."
  type = object({
    host           = string
    port           = optional(number, 22)
    user           = string
    known_hosts    = string # as `ssh-keyscan` prints them, and as you have compared them
    secret         = optional(string, "SFTP_PRIVATE_KEY")
    secret_version = optional(string, "latest")
    confirm_api    = string
    videos         = optional(string, "/public_html/videos")
    images         = optional(string, "/public_html/images")
    delivery       = optional(string, "auto")
    override       = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.sftp == null ? true : can(regex("^https://[^/?#@]+", var.sftp.confirm_api))
    error_message = "sftp.confirm_api must begin with https:// and hold no password."
  }

  validation {
    condition     = var.sftp == null ? true : contains(["SFTP_PRIVATE_KEY", "SFTP_PASSWORD"], var.sftp.secret)
    error_message = "sftp.secret must be SFTP_PRIVATE_KEY or SFTP_PASSWORD: what the server logs in by."
  }

  validation {
    condition     = var.sftp == null ? true : contains(["auto", "webhook", "sftp"], var.sftp.delivery)
    error_message = "sftp.delivery must be auto, webhook or sftp."
  }

  validation {
    condition     = var.sftp == null ? true : length(trimspace(var.sftp.known_hosts)) > 0
    error_message = "sftp.known_hosts must hold the server's host keys: nothing is sent to a server that cannot show one."
  }
}

variable "lms_invokers" {
  description = "IAM members that may call the receiver and the confirmer: the accounts of the LMS's backends."
  type        = list(string)

  validation {
    condition     = alltrue([for member in var.lms_invokers : can(regex("^(serviceAccount|group|user|principal|principalSet):.+", member))])
    error_message = "Each of lms_invokers must be an IAM member such as serviceAccount:lms@project.iam.gserviceaccount.com; the services are private."
  }
}

variable "public_url" {
  description = "Where the LMS reaches the receiver, if not at its own URL (PUBLIC_URL)."
  type        = string
  default     = null

  validation {
    condition     = var.public_url == null ? true : can(regex("^https://[^/?#@]+", var.public_url))
    error_message = "public_url must begin with https://."
  }
}

variable "upload_origin" {
  description = "Origin of the web pages that send direct uploads into the bucket (UPLOAD_ORIGIN); null for none."
  type        = string
  default     = null

  validation {
    condition     = var.upload_origin == null ? true : can(regex("^https://[a-z0-9.-]+(:[0-9]{1,5})?$", var.upload_origin))
    error_message = "upload_origin must be an origin as browsers tell it, such as https://lms.example.org: no path, no capitals."
  }
}

variable "front_ingress" {
  description = "From where the receiver and the confirmer can be reached; callers need the invoker role as well."
  type        = string
  default     = "INGRESS_TRAFFIC_ALL"

  validation {
    condition     = contains(["INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"], var.front_ingress)
    error_message = "front_ingress must be INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_ONLY or INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER."
  }
}

variable "secret_versions" {
  description = "Versions of the secrets, by environment variable: a number, or `latest` for the newest at an instance's start."
  type        = object({ INTERNAL_SERVICE_KEY = string, WEBHOOK_SECRET = string })
  default     = { INTERNAL_SERVICE_KEY = "latest", WEBHOOK_SECRET = "latest" }

  validation {
    condition     = alltrue([for version in values(var.secret_versions) : can(regex("^(latest|[1-9][0-9]*)$", version))])
    error_message = "A secret's version must be a number or latest."
  }
}

variable "times" {
  description = "UPLOAD_TTL_S, STORE_RETRY_FOR_S and CONFIRM_TTL_S, in seconds: how long objects may be needed."
  type = object({
    upload_ttl_s      = optional(number, 86400)
    store_retry_for_s = optional(number, 259200)
    confirm_ttl_s     = optional(number, 86400)
  })
  default = {}

  validation {
    condition     = var.times.upload_ttl_s > 0 && var.times.upload_ttl_s <= 518400
    error_message = "upload_ttl_s must be above 0 and at most six days (518400): an upload's session ends after a week."
  }

  validation {
    condition     = var.times.store_retry_for_s > 0 && var.times.confirm_ttl_s > 0
    error_message = "store_retry_for_s and confirm_ttl_s must be above 0."
  }
}

variable "backstop_days" {
  description = "Age at which the bucket deletes what the product should have deleted long before."
  type        = number
  default     = 30
}

variable "settings" {
  description = "Further settings of the services as environment variables, for example { MAX_RETRIES = \"5\" }."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^[A-Z][A-Z0-9_]*$", name))])
    error_message = "settings takes names in upper case."
  }

  # Other resources are made to fit these: the bucket's backstop to the times, for example.
  validation {
    condition = length(setintersection(keys(var.settings), [
      "CLIENT_CONFIRM_API", "CONFIRM_TTL_S", "DELIVERY", "DELIVERY_OVERRIDE", "FIRESTORE_DATABASE", "FIRESTORE_JOBS", "FORWARDED_HOPS", "FUNCTION_TARGET", "GOOGLE_CLOUD_PROJECT", "HOST",
      "INTERNAL_SERVICE_KEY", "LECTERN_BACKEND", "LECTERN_BUCKET", "LECTERN_DATA_DIR", "LMS_STORE_URL", "LOG_FORMAT",
      "LOG_LEVEL", "MAX_UPLOADS_AT_ONCE", "PORT", "PUBLIC_URL", "PUBSUB_PREFIX", "PUSH_AUDIENCE", "PUSH_BEHIND_IAM",
      "PUSH_DELIVERIES_MAX", "PUSH_SERVICE_ACCOUNT", "PUSH_STEPS", "RECEIVER_THREADS", "SFTP_FINGERPRINT", "SFTP_HOST", "SFTP_IMAGES", "SFTP_KNOWN_HOSTS",
      "SFTP_PASSWORD", "SFTP_PORT", "SFTP_PRIVATE_KEY", "SFTP_PRIVATE_KEY_PASSPHRASE", "SFTP_USER", "SFTP_VIDEOS",
      "STORE_RETRY_FOR_S", "UPLOAD_ORIGIN", "UPLOAD_TTL_S", "WEBHOOK_SECRET",
    ])) == 0
    error_message = "settings must not name what another variable decides, a secret, or what protects the push endpoints."
  }

  validation {
    condition     = alltrue([for name in keys(var.settings) : !endswith(name, "_EMULATOR_HOST")])
    error_message = "settings must not lead a deployment to an emulator."
  }
}

variable "log_level" {
  description = "Events below this level are not written."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO"], var.log_level)
    error_message = "log_level must be DEBUG or INFO: metrics and alerts count events of these levels."
  }
}

variable "firestore_database" {
  description = "Name of the Firestore database. One of its own keeps the accounts away from others."
  type        = string
  default     = "lectern"

  validation {
    condition     = var.firestore_database == "(default)" || can(regex("^[a-z][a-z0-9-]{2,61}[a-z0-9]$", var.firestore_database))
    error_message = "firestore_database must be (default), or 4 to 63 lower-case letters, digits and hyphens."
  }
}

variable "point_in_time_recovery" {
  description = "Keep seven days of earlier versions of the job records."
  type        = bool
  default     = false
}

variable "bucket_name" {
  description = "Name of the bucket; null for one made of project and name."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null ? true : can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must have 3 to 63 lower-case letters, digits, hyphens and underscores."
  }
}

variable "kms_key_name" {
  description = "Key of Cloud KMS, in the region, that encrypts recordings and messages; null for Google's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_name == null ? true : can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key_name))
    error_message = "kms_key_name must be projects/…/locations/…/keyRings/…/cryptoKeys/…"
  }
}

variable "notification_channels" {
  description = "Notification channels of Cloud Monitoring that alerts go to."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", channel))])
    error_message = "A notification channel is named projects/…/notificationChannels/…"
  }
}

variable "deletion_protection" {
  description = "Refuse to delete services, database and secrets. The bucket is never deleted while objects lie in it."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels of all resources that have some."
  type        = map(string)
  default     = {}
}
