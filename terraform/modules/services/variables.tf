variable "project_id" {
  description = "Project of the services."
  type        = string
}

variable "region" {
  description = "Region of the services."
  type        = string
}

variable "name" {
  description = "What the services' names begin with."
  type        = string
}

variable "images" {
  description = "Images by digest. The courier is the transcoder's."
  type        = object({ receiver = string, transcoder = string, confirmer = string })
}

variable "accounts" {
  description = "E-mails of the accounts that the services run as."
  type        = object({ receiver = string, transcoder = string, courier = string, confirmer = string })
}

variable "lms_invokers" {
  description = "IAM members that may call the receiver and the confirmer: the LMS's backends."
  type        = list(string)
}

variable "push_account" {
  description = "E-mail of the account that Pub/Sub pushes as."
  type        = string
}

variable "push_member" {
  description = "The same as an IAM member."
  type        = string
}

variable "urls" {
  description = "URLs that Pub/Sub pushes to."
  type        = object({ transcoder = string, courier = string })
}

variable "audiences" {
  description = "Audiences that Pub/Sub's tokens name. Not the URLs: a service would have to know its own before it exists."
  type        = object({ transcoder = string, courier = string })
}

variable "push_deliveries_max" {
  description = "Deliveries after which Pub/Sub buries a message."
  type        = number
}

variable "bucket" {
  description = "Name of the bucket."
  type        = string
}

variable "database" {
  description = "Name of the Firestore database."
  type        = string
}

variable "collection" {
  description = "Collection of the jobs in it."
  type        = string
}

variable "prefix" {
  description = "What the names of topics and subscriptions begin with."
  type        = string
}

variable "secrets" {
  description = "Secret and version of each environment variable that is one, by service. The transcoder has none."
  type        = map(map(object({ secret = string, version = string })))
}

variable "delivery_secrets" {
  description = "The same for what only the courier has."
  type        = map(object({ secret = string, version = string }))
  default     = {}
}

variable "sftp" {
  description = "The LMS's storage and its confirmation API; null without SFTP."
  type = object({
    host        = string
    port        = number
    user        = string
    known_hosts = string
    confirm_api = string
    videos      = string
    images      = string
    delivery    = string
    override    = bool
  })
  default = null
}

variable "lms_store_url" {
  description = "The LMS's store webhook."
  type        = string
}

variable "public_url" {
  description = "Where callers reach the receiver, if not at its own URL; null for that."
  type        = string
  default     = null
}

variable "upload_origin" {
  description = "Origin of the web pages that send direct uploads; null for none."
  type        = string
  default     = null
}

variable "times" {
  description = "The times that the bucket's backstop must not undercut, in seconds."
  type = object({
    upload_ttl_s      = number
    store_retry_for_s = number
    confirm_ttl_s     = number
  })
}

variable "settings" {
  description = "Further settings as environment variables, for all services."
  type        = map(string)
  default     = {}
}

variable "log_level" {
  description = "Events below this level are not written."
  type        = string
}

variable "front_ingress" {
  description = "From where the receiver and the confirmer can be reached."
  type        = string
}

variable "receiver" {
  description = "Requests and uploads that one instance serves at the same time, and the number of instances."
  type = object({
    threads         = optional(number, 32)
    uploads_at_once = optional(number, 16)
    min_instances   = optional(number, 0)
    max_instances   = optional(number, 10)
  })
}

variable "transcoder" {
  description = "Size of one instance, which encodes one piece at a time, and how many there may be."
  type = object({
    cpu           = optional(number, 8)
    memory        = optional(string, "16Gi")
    tmp_size      = optional(string, "4Gi")
    min_instances = optional(number, 0)
    max_instances = optional(number, 10)
  })
}

variable "courier" {
  description = "How many callbacks there may be at the same time."
  type        = object({ max_instances = optional(number, 4) })
}

variable "confirmer" {
  description = "Number of instances."
  type = object({
    min_instances = optional(number, 0)
    max_instances = optional(number, 4)
  })
}

variable "deletion_protection" {
  description = "Refuse to delete the services."
  type        = bool
}

variable "readers" {
  description = "Functions that go on with jobs which the receiver has begun: a new release reaches them before it."
  type        = list(string)
}

variable "labels" {
  description = "Labels of the services."
  type        = map(string)
  default     = {}
}
