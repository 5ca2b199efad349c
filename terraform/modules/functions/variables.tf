variable "project_id" {
  description = "Project of the functions."
  type        = string
}

variable "region" {
  description = "Region of the functions; Cloud Scheduler must be offered there."
  type        = string
}

variable "name" {
  description = "What the functions' names begin with."
  type        = string
}

variable "image" {
  description = "Image of all functions, by digest."
  type        = string
}

variable "accounts" {
  description = "E-mails of the accounts that the functions run as."
  type        = object({ sweep = string, dead-letter = string, upload-finalized = string })
}

variable "callers" {
  description = "E-mails and IAM members of the accounts that Google calls the functions as."
  type = object({
    push      = object({ email = string, member = string })
    scheduler = object({ email = string, member = string })
    eventarc  = object({ email = string, member = string })
  })
}

variable "dead_letter" {
  description = "Where dead letters are pushed to, and the audience that their tokens name."
  type        = object({ url = string, audience = string })
}

variable "bucket" {
  description = "Bucket whose finished objects are told of."
  type        = string
}

variable "bucket_location" {
  description = "Where it lies: the trigger must be there too."
  type        = string
}

variable "environment" {
  description = "Environment that all services share."
  type        = map(string)
}

variable "deletion_protection" {
  description = "Refuse to delete the functions."
  type        = bool
}

variable "readers" {
  description = "Services that go on with jobs which a finished upload has begun: a new release reaches them before its function."
  type        = list(string)
}

variable "labels" {
  description = "Labels of the functions."
  type        = map(string)
  default     = {}
}
