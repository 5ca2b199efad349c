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

variable "readers" {
  description = "IAM members that read both secrets, by a name of your choice. Every service does: the settings want them."
  type        = map(string)
}

variable "sftp_secret" {
  description = "The setting that opens the LMS's storage, SFTP_PRIVATE_KEY or SFTP_PASSWORD; null without SFTP."
  type        = string
  default     = null
}

variable "courier" {
  description = "IAM member that alone reads it."
  type        = string
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
