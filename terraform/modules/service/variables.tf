variable "project_id" {
  description = "Project of the service."
  type        = string
}

variable "region" {
  description = "Region of the service."
  type        = string
}

variable "name" {
  description = "Name of the service."
  type        = string
}

variable "url" {
  description = "The URL that the service is expected to have; null if nobody relies on it."
  type        = string
  default     = null
}

variable "image" {
  description = "Image, by digest."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image must be given by its digest (…@sha256:…), so that what runs is what was tested."
  }
}

variable "service_account" {
  description = "E-mail of the account that the service runs as."
  type        = string
}

variable "invokers" {
  description = "IAM members that may call the service, by a name of your choice."
  type        = map(string)

  validation {
    condition     = alltrue([for member in values(var.invokers) : !contains(["allUsers", "allAuthenticatedUsers"], member)])
    error_message = "Lectern's services are private: name the callers, not everybody."
  }
}

variable "environment" {
  description = "Environment variables; those that are null are left out."
  type        = map(string)
}

variable "secrets" {
  description = "Environment variables that are filled from Secret Manager."
  type        = map(object({ secret = string, version = string }))
  default     = {}
}

variable "audiences" {
  description = "Audiences beside the service's URL that a caller's token may name."
  type        = list(string)
  default     = []
}

variable "ingress" {
  description = "From where the service can be reached; callers need the invoker role as well."
  type        = string
  default     = "INGRESS_TRAFFIC_INTERNAL_ONLY"
}

variable "port_name" {
  description = "`h2c` for HTTP/2 to the container, without which a request has at most 32 MiB; else `http1`."
  type        = string
  default     = "http1"
}

variable "cpu" {
  description = "vCPUs."
  type        = number
}

variable "memory" {
  description = "Memory, that of the files in it included."
  type        = string
}

variable "tmp_size" {
  description = "The most that may lie in /tmp; part of `memory`."
  type        = string
}

variable "concurrency" {
  description = "Requests that one instance serves at the same time."
  type        = number
}

variable "timeout_s" {
  description = "Seconds that one request may take."
  type        = number
}

variable "min_instances" {
  description = "Instances that are kept ready."
  type        = number
  default     = 0
}

variable "max_instances" {
  description = "Instances that there may be at most."
  type        = number
}

variable "deletion_protection" {
  description = "Refuse to delete the service."
  type        = bool
}

variable "labels" {
  description = "Labels of the service and its revisions."
  type        = map(string)
  default     = {}
}
