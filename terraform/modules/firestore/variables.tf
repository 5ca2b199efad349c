variable "project_id" {
  description = "Project of the database."
  type        = string
}

variable "location" {
  description = "Region of the database. It can never be changed."
  type        = string
}

variable "database" {
  description = "Name of the database."
  type        = string
}

variable "collection" {
  description = "Collection of the jobs."
  type        = string
  default     = "jobs"
}

variable "point_in_time_recovery" {
  description = "Keep seven days of earlier versions of the records. Costs storage."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Refuse to delete the database."
  type        = bool
  default     = true
}
