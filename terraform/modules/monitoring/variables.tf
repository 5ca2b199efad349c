variable "project_id" {
  description = "Project of the metrics."
  type        = string
}

variable "name" {
  description = "What the names of services and metrics begin with."
  type        = string
}

variable "subscriptions" {
  description = "Names of the subscriptions whose messages must not wait."
  type        = object({ transcode = string, deliver = string })
}

variable "dead_letters" {
  description = "Name of the subscription that keeps dead letters."
  type        = string
}

variable "notification_channels" {
  description = "Notification channels that are told; an alert without one is only seen in the console."
  type        = list(string)
}

variable "callbacks_deferred_per_hour" {
  description = "Failed store callbacks of an hour above which an alert is raised."
  type        = number
  default     = 20
}

variable "jobs_failed_per_hour" {
  description = "Failed jobs of an hour above which an alert is raised."
  type        = number
  default     = 5
}

variable "defects_per_hour" {
  description = "Errors of an hour above which an alert is raised."
  type        = number
  default     = 5
}

variable "receiver_errors_per_5_min" {
  description = "Answers 5xx of the receiver in five minutes above which an alert is raised."
  type        = number
  default     = 5
}

variable "status_p95_s" {
  description = "Seconds within which 95% of the status requests must be answered."
  type        = number
  default     = 2
}

variable "stuck_after_s" {
  description = "Seconds that the oldest message may wait before it counts as stuck."
  type        = number
  default     = 3600
}

variable "labels" {
  description = "Labels of the alert policies."
  type        = map(string)
  default     = {}
}
