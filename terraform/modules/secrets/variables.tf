variable "project_id" {
  description = "Project of the secrets."
  type        = string
}

variable "region" {
  description = "Where the secrets are kept."
  type        = string
}

variable "name" {
  description = "What the secrets' names begin with."
  type        = string
}

variable "members" {
  description = "IAM members by the services' names; each reads only what it needs."
  type        = map(string)
}

variable "sftp_secret" {
  description = "The setting that opens the LMS's storage, SFTP_PRIVATE_KEY or SFTP_PASSWORD; null without SFTP. The courier alone reads it."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Refuse to delete the secrets."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels of the secrets."
  type        = map(string)
  default     = {}
}
