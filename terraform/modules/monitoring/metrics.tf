# Metrics out of log lines. A label is a field of the line: `organization` has as many values as
# Lectern has customers, none has one per recording.

locals {
  organization = { organization = "organization_id" }

  counters = {
    jobs_received      = { description = "Recordings accepted.", labels = local.organization }
    jobs_completed     = { description = "Jobs confirmed by the LMS.", labels = local.organization }
    jobs_failed        = { description = "Jobs that came to nothing.", labels = local.organization }
    jobs_retried       = { description = "Steps that are tried again.", labels = local.organization }
    jobs_stuck         = { description = "Jobs whose step nobody has worked on for an hour.", labels = local.organization }
    jobs_expired       = { description = "Jobs that nobody confirmed.", labels = local.organization }
    callbacks_deferred = { description = "Store callbacks that are tried again.", labels = local.organization }
    callbacks_refused  = { description = "Results that the LMS never took.", labels = local.organization }
    messages_buried    = { description = "Dead letters.", labels = {} }
    defects            = { description = "Errors that somebody must look at.", labels = { event = "event" } }
    http_errors        = { description = "Requests answered 5xx by the services themselves.", labels = { route = "route" } }
  }

  # A field's values in buckets that grow from `first` by `growth`.
  distributions = {
    http_requests  = { filter = "http_requests", field = "duration_s", unit = "s", first = 0.01, growth = 2, buckets = 19, labels = { route = "route" }, description = "How long requests take." }
    steps          = { filter = "steps", field = "duration_s", unit = "s", first = 0.01, growth = 2, buckets = 19, labels = { topic = "topic" }, description = "How long a step takes: an encode with its transfers, a callback." }
    encode_seconds = { filter = "encodes", field = "work_s", unit = "s", first = 0.1, growth = 2, buckets = 16, labels = local.organization, description = "How long encodes take." }
    encode_speed   = { filter = "encodes", field = "speed", unit = "1", first = 0.1, growth = 1.5, buckets = 20, labels = local.organization, description = "Seconds of lecture that a second of encoding makes." }
    source_bytes   = { filter = "results", field = "source_bytes", unit = "By", first = 1048576, growth = 2, buckets = 14, labels = local.organization, description = "Sizes of recordings that were compressed." }
    output_bytes   = { filter = "results", field = "output_bytes", unit = "By", first = 1048576, growth = 2, buckets = 14, labels = local.organization, description = "Sizes of results." }
    saved_percent  = { filter = "results", field = "saved_percent", unit = "%", first = 1, growth = 1.25, buckets = 21, labels = local.organization, description = "How much smaller a result is than its recording." }
  }
}

resource "google_logging_metric" "counter" {
  for_each = local.counters

  project     = var.project_id
  name        = "${var.name}/${each.key}"
  description = each.value.description
  filter      = "${local.scope} AND ${local.filters[each.key]}"

  label_extractors = { for label, field in each.value.labels : label => "EXTRACT(jsonPayload.${field})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key        = labels.key
        value_type = "STRING"
      }
    }
  }
}

resource "google_logging_metric" "distribution" {
  for_each = local.distributions

  project     = var.project_id
  name        = "${var.name}/${each.key}"
  description = each.value.description
  filter      = "${local.scope} AND ${local.filters[each.value.filter]}"

  value_extractor  = "EXTRACT(jsonPayload.${each.value.field})"
  label_extractors = { for label, field in each.value.labels : label => "EXTRACT(jsonPayload.${field})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key        = labels.key
        value_type = "STRING"
      }
    }
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = each.value.buckets
      growth_factor      = each.value.growth
      scale              = each.value.first
    }
  }
}
