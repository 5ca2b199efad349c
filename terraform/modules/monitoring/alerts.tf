# What wakes somebody up. Each policy says what to do first; the queries stand in docs/operations.md.

locals {
  # A line of the log that must not be there at all, and what to do about it.
  lines = {
    messages_buried = {
      title = "dead letter"
      help  = "Pub/Sub has given up a message. The event's job_id and reason say whose; the message is kept for 31 days in the subscription ${var.dead_letters}. A job with the outcome left_to_sweep goes on by itself once the cause is mended."
    }
    callbacks_refused = {
      title = "the LMS never took a result"
      help  = "The event's reason says what the LMS answered. The result is kept for CONFIRM_TTL_S; redeliver it once the LMS is mended."
    }
  }

  # More of a metric's events within an hour than is usual.
  rates = {
    callbacks_deferred = {
      title     = "store callbacks fail"
      threshold = var.callbacks_deferred_per_hour
      help      = "Callbacks are tried for STORE_RETRY_FOR_S, so nothing is lost yet. The events job.deliverydeferred say what the LMS answers."
    }
    jobs_failed = {
      title     = "jobs fail"
      threshold = var.jobs_failed_per_hour
      help      = "The events job.failed say why. A bad recording fails alone; many at once point to a release or to the platform."
    }
    jobs_stuck = {
      title     = "jobs are stuck"
      threshold = 0
      help      = "A job has waited for more than an hour. The events job.woken say which, in which state, and how many workers it has lost (claims). Either there are too few instances, or its messages are refused."
    }
    defects = {
      title     = "errors in the services"
      threshold = var.defects_per_hour
      help      = "The label event says which: worker.error and http.internal_error carry a traceback, push.refused means a wrong audience or account, push.malformed a foreign publisher."
    }
  }

  # How long the oldest message of a subscription has waited.
  queues = {
    transcode = "No transcoder takes the messages, or all are busy: look at the number of instances, then at push.again and worker.waits."
    deliver   = "No courier takes the messages. The LMS being away does not show here: such callbacks wait in the record, not in the queue."
  }
}

resource "google_monitoring_alert_policy" "line" {
  for_each = local.lines

  project               = var.project_id
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = each.value.title

    condition_matched_log {
      filter = "${local.scope} AND ${local.filters[each.key]}"

      label_extractors = {
        job_id = "EXTRACT(jsonPayload.job_id)"
        reason = "EXTRACT(jsonPayload.reason)"
        code   = "EXTRACT(jsonPayload.code)"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "900s"
    }
  }

  documentation {
    content   = each.value.help
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_alert_policy" "rate" {
  for_each = local.rates

  project               = var.project_id
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "more than ${each.value.threshold} an hour"

    condition_threshold {
      filter          = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.counter[each.key].name}\" AND resource.type=\"cloud_run_revision\""
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.threshold
      duration        = "0s"

      aggregations {
        alignment_period     = "3600s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    content   = each.value.help
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_alert_policy" "stuck" {
  for_each = local.queues

  project               = var.project_id
  display_name          = "${var.name}: ${each.key} messages are stuck"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "the oldest waits for more than ${var.stuck_after_s} s"

    condition_threshold {
      filter          = "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND resource.type=\"pubsub_subscription\" AND resource.label.subscription_id=\"${var.subscriptions[each.key]}\""
      comparison      = "COMPARISON_GT"
      threshold_value = var.stuck_after_s
      duration        = "300s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content   = each.value
    mime_type = "text/markdown"
  }
}

# Dead letters that still lie there, also those of before the deployment's first alert.
resource "google_monitoring_alert_policy" "dead_letters_kept" {
  project               = var.project_id
  display_name          = "${var.name}: dead letters wait to be looked at"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "any message in ${var.dead_letters}"

    condition_threshold {
      filter          = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.type=\"pubsub_subscription\" AND resource.label.subscription_id=\"${var.dead_letters}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "300s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content   = "Pull the messages of ${var.dead_letters}, see what they say, and acknowledge them once their jobs go on."
    mime_type = "text/markdown"
  }
}

# Everything that was lost is made good by the sweep. While it does not run, nothing is.
resource "google_monitoring_alert_policy" "no_sweep" {
  project               = var.project_id
  display_name          = "${var.name}: the sweep does not run"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "no sweep has succeeded for 15 minutes"

    condition_absent {
      filter   = "metric.type=\"run.googleapis.com/request_count\" AND resource.type=\"cloud_run_revision\" AND resource.label.service_name=\"${var.name}-sweep\" AND metric.label.response_code_class=\"2xx\""
      duration = "900s"

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    content   = "Jobs that wait for a lost message, an expiry or a clean-up stay as they are. Look at the Scheduler job ${var.name}-sweep, then at the events sweep.error."
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_alert_policy" "front_door" {
  project               = var.project_id
  display_name          = "${var.name}: the receiver fails or is slow"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "more than ${var.receiver_errors_per_5_min} answers 5xx in 5 minutes"

    condition_threshold {
      filter          = "metric.type=\"run.googleapis.com/request_count\" AND resource.type=\"cloud_run_revision\" AND resource.label.service_name=\"${var.name}-receiver\" AND metric.label.response_code_class=\"5xx\""
      comparison      = "COMPARISON_GT"
      threshold_value = var.receiver_errors_per_5_min
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  # Uploads take as long as the caller's line; the status does not.
  conditions {
    display_name = "95% of the status requests take up to more than ${var.status_p95_s} s"

    condition_threshold {
      filter          = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.distribution["http_requests"].name}\" AND resource.type=\"cloud_run_revision\" AND metric.label.route=\"/status/<video_id>\""
      comparison      = "COMPARISON_GT"
      threshold_value = var.status_p95_s
      duration        = "300s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_PERCENTILE_95"
      }
    }
  }

  documentation {
    content   = "The events http.unavailable name the store or the bus that does not answer, http.internal_error a defect. 5xx without such events come from Cloud Run itself: no instance, no memory."
    mime_type = "text/markdown"
  }
}
