# The environment of the containers: each name is a setting of infra/settings.py. PORT comes from
# the platform. A setting that is not named here has its default, unless var.settings names it.

locals {
  # What every process needs to find its place.
  common = {
    LECTERN_BACKEND      = "gcp"
    GOOGLE_CLOUD_PROJECT = var.project_id
    LECTERN_BUCKET       = var.bucket
    FIRESTORE_DATABASE   = var.database
    FIRESTORE_JOBS       = var.collection
    PUBSUB_PREFIX        = var.prefix
    HOST                 = "0.0.0.0"
    LECTERN_DATA_DIR     = "/tmp/lectern"
    LOG_FORMAT           = "json"
    LOG_LEVEL            = var.log_level
    LMS_STORE_URL        = var.lms_store_url
    UPLOAD_TTL_S         = tostring(var.times.upload_ttl_s)
    STORE_RETRY_FOR_S    = tostring(var.times.store_retry_for_s)
    CONFIRM_TTL_S        = tostring(var.times.confirm_ttl_s)
  }

  # What the check of Pub/Sub's tokens needs. Cloud Run lets nobody in but the push account, and
  # takes the signature out of the tokens that it has verified.
  pushed = {
    PUSH_SERVICE_ACCOUNT = var.push_account
    PUSH_BEHIND_IAM      = "true"
    PUSH_DELIVERIES_MAX  = tostring(var.push_deliveries_max)
  }

  receiver = {
    RECEIVER_THREADS    = tostring(var.receiver.threads)
    MAX_UPLOADS_AT_ONCE = tostring(var.receiver.uploads_at_once)
    PUBLIC_URL          = var.public_url
    UPLOAD_ORIGIN       = var.upload_origin
    FORWARDED_HOPS      = tostring(local.hops)
    DELIVERY            = try(var.sftp.delivery, null)
    DELIVERY_OVERRIDE   = try(tostring(var.sftp.override), null)
    SFTP_HOST           = try(var.sftp.host, null) # that there is one decides on the delivery
  }

  transcoder = {
    PUSH_AUDIENCE = var.audiences.transcoder
    PUSH_STEPS    = "transcode"
  }

  courier = {
    PUSH_AUDIENCE      = var.audiences.courier
    PUSH_STEPS         = "deliver"
    PUBLIC_URL         = var.public_url # deliveries name the URL of a set of renditions
    SFTP_HOST          = try(var.sftp.host, null)
    SFTP_PORT          = try(tostring(var.sftp.port), null)
    SFTP_USER          = try(var.sftp.user, null)
    SFTP_KNOWN_HOSTS   = try(var.sftp.known_hosts, null)
    SFTP_VIDEOS        = try(var.sftp.videos, null)
    SFTP_IMAGES        = try(var.sftp.images, null)
    CLIENT_CONFIRM_API = try(var.sftp.confirm_api, null)
  }

  confirmer = {
    FORWARDED_HOPS = tostring(local.hops)
  }

  # Who has put an address into X-Forwarded-For: Cloud Run itself, and the balancer before it.
  hops = var.front_ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" ? 2 : 1
}
