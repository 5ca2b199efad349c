variable "project_id" {
  description = "Project of the accounts."
  type        = string
}

variable "project_number" {
  description = "Its number, by which Pub/Sub's service agent is called."
  type        = string
}

variable "name" {
  description = "What the accounts' ids begin with."
  type        = string
}

variable "bucket" {
  description = "Name of the bucket."
  type        = string
}

variable "database" {
  description = "Name of the Firestore database."
  type        = string
}

variable "topics" {
  description = "Names of the topics `transcode` and `deliver`."
  type        = object({ transcode = string, deliver = string })
}

variable "subscriptions" {
  description = "Names of their subscriptions."
  type        = object({ transcode = string, deliver = string })
}

variable "storage_agent" {
  description = "IAM member of Cloud Storage's service agent."
  type        = string
}
