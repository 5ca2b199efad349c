variable "project_id" {
  description = "Project of the bucket."
  type        = string
}

variable "bucket_name" {
  description = "Name of the bucket; unique in all of Cloud Storage."
  type        = string
}

variable "location" {
  description = "Region of the bucket; that of the services, or every byte costs transfer."
  type        = string
}

variable "backstop_days" {
  description = "Age at which the bucket deletes an object that the product should have deleted long before."
  type        = number
  default     = 30

  validation {
    condition     = var.backstop_days == floor(var.backstop_days)
    error_message = "backstop_days must be a whole number: lifecycle rules count whole days."
  }
}

variable "upload_ttl_s" {
  description = "UPLOAD_TTL_S of the services: how long a direct upload may take."
  type        = number
}

variable "store_retry_for_s" {
  description = "STORE_RETRY_FOR_S of the services: how long the store webhook is tried."
  type        = number
}

variable "confirm_ttl_s" {
  description = "CONFIRM_TTL_S of the services: time from delivery until the files are removed."
  type        = number
}

variable "kms_key_name" {
  description = "Key of Cloud KMS that encrypts the objects, in the bucket's region; null for Google's own keys."
  type        = string
  default     = null
}

variable "upload_origin" {
  description = "UPLOAD_ORIGIN of the receiver: origin of the web pages that send direct uploads; null for none."
  type        = string
  default     = null
}

variable "labels" {
  description = "Labels of the bucket."
  type        = map(string)
  default     = {}
}
