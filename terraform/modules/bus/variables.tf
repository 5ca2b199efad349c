variable "project_id" {
  description = "Project of the topics."
  type        = string
}

variable "project_number" {
  description = "Its number, by which Pub/Sub's service agent is called."
  type        = string
}

variable "region" {
  description = "The only region in which messages are kept."
  type        = string
}

variable "name" {
  description = "What the names of topics and subscriptions begin with: PUBSUB_PREFIX of the services."
  type        = string
}

variable "push_account" {
  description = "E-mail of the service account that Pub/Sub pushes as: PUSH_SERVICE_ACCOUNT."
  type        = string
}

variable "transcoder" {
  description = "Where `transcode` is pushed to: the service's URL, and the audience that its tokens name."
  type        = object({ url = string, audience = string })
}

variable "courier" {
  description = "Where `deliver` is pushed to."
  type        = object({ url = string, audience = string })
}

variable "dead_letter" {
  description = "Where dead letters are pushed to."
  type        = object({ url = string, audience = string })
}

variable "kms_key_name" {
  description = "Key of Cloud KMS that encrypts messages; null for Google's own keys."
  type        = string
  default     = null
}

variable "labels" {
  description = "Labels of topics and subscriptions."
  type        = map(string)
  default     = {}
}
