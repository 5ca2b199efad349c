# How large the services are and how many instances there may be: the ceiling of the bill.

variable "receiver" {
  description = "Requests and uploads that one instance serves at the same time, and the number of instances."
  type = object({
    threads         = optional(number, 32)
    uploads_at_once = optional(number, 16)
    min_instances   = optional(number, 0)
    max_instances   = optional(number, 10)
  })
  default = {}

  validation {
    condition     = var.receiver.threads >= 8 && var.receiver.threads <= 1000 && var.receiver.uploads_at_once >= 1
    error_message = "receiver.threads must be 8 to 1000, and uploads_at_once at least 1."
  }

  validation {
    condition     = var.receiver.uploads_at_once < var.receiver.threads - 4
    error_message = "receiver.uploads_at_once must leave room: four threads are for probes, and others ask for their status meanwhile."
  }

  validation {
    condition     = var.receiver.min_instances >= 0 && var.receiver.max_instances >= max(1, var.receiver.min_instances)
    error_message = "receiver.max_instances must be at least 1 and at least min_instances."
  }
}

variable "transcoder" {
  description = "Size of one instance, and how many there may be: as many steps run at the same time."
  type = object({
    cpu           = optional(number, 8)
    memory        = optional(string, "16Gi")
    tmp_size      = optional(string, "4Gi")
    min_instances = optional(number, 0)
    max_instances = optional(number, 10)
  })
  default = {}

  validation {
    condition     = contains([2, 4, 6, 8], var.transcoder.cpu)
    error_message = "transcoder.cpu must be 2, 4, 6 or 8."
  }

  validation {
    condition     = can(regex("^[0-9]+Gi$", var.transcoder.memory)) && can(regex("^[0-9]+Gi$", var.transcoder.tmp_size))
    error_message = "transcoder.memory and tmp_size are given in whole Gi."
  }

  # An encoder may take 6 GiB, its worker takes about one.
  validation {
    condition     = tonumber(trimsuffix(var.transcoder.memory, "Gi")) >= tonumber(trimsuffix(var.transcoder.tmp_size, "Gi")) + 7
    error_message = "transcoder.memory must be at least 7Gi above tmp_size: files, encoder and worker share it."
  }

  validation {
    condition     = var.transcoder.min_instances >= 0 && var.transcoder.max_instances >= max(1, var.transcoder.min_instances)
    error_message = "transcoder.max_instances must be at least 1 and at least min_instances."
  }
}

variable "courier" {
  description = "How many store callbacks there may be at the same time."
  type        = object({ max_instances = optional(number, 4) })
  default     = {}

  validation {
    condition     = var.courier.max_instances >= 1
    error_message = "courier.max_instances must be at least 1."
  }
}

variable "confirmer" {
  description = "Number of instances."
  type = object({
    min_instances = optional(number, 0)
    max_instances = optional(number, 4)
  })
  default = {}

  validation {
    condition     = var.confirmer.min_instances >= 0 && var.confirmer.max_instances >= max(1, var.confirmer.min_instances)
    error_message = "confirmer.max_instances must be at least 1 and at least min_instances."
  }
}
