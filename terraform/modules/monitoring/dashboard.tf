# One page: what comes in, what goes out, how long it takes, what is wrong.

locals {
  logged = "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${var.name}"
  run    = "resource.type=\"cloud_run_revision\" AND resource.label.service_name=starts_with(\"${var.name}-\") AND metric.type=\"run.googleapis.com"
  pubsub = "resource.type=\"pubsub_subscription\" AND resource.label.subscription_id=starts_with(\"${var.name}-\") AND metric.type=\"pubsub.googleapis.com"

  # A chart: what is shown, how one series is made of it, and what the series are.
  charts = [
    { title = "Recordings received", filter = "${local.logged}/jobs_received\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.organization"] },
    { title = "Jobs completed", filter = "${local.logged}/jobs_completed\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.organization"] },
    { title = "Jobs failed", filter = "${local.logged}/jobs_failed\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.organization"] },
    { title = "Callbacks tried again", filter = "${local.logged}/callbacks_deferred\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.organization"] },
    { title = "Seconds of lecture a second of encoding makes", filter = "${local.logged}/encode_speed\"", align = "ALIGN_DELTA", reduce = "REDUCE_PERCENTILE_50", by = ["metric.label.organization"] },
    { title = "Percent saved", filter = "${local.logged}/saved_percent\"", align = "ALIGN_DELTA", reduce = "REDUCE_PERCENTILE_50", by = ["metric.label.organization"] },
    { title = "Seconds of an encode, 95%", filter = "${local.logged}/encode_seconds\"", align = "ALIGN_DELTA", reduce = "REDUCE_PERCENTILE_95", by = ["metric.label.organization"] },
    { title = "Jobs stuck", filter = "${local.logged}/jobs_stuck\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.organization"] },
    { title = "Seconds of a step, 95%", filter = "${local.logged}/steps\"", align = "ALIGN_DELTA", reduce = "REDUCE_PERCENTILE_95", by = ["metric.label.topic"] },
    { title = "Seconds of a request, 95%", filter = "${local.logged}/http_requests\"", align = "ALIGN_DELTA", reduce = "REDUCE_PERCENTILE_95", by = ["metric.label.route"] },
    { title = "Seconds that the oldest message waits", filter = "${local.pubsub}/subscription/oldest_unacked_message_age\"", align = "ALIGN_MAX", reduce = "REDUCE_MAX", by = ["resource.label.subscription_id"] },
    { title = "Messages that wait", filter = "${local.pubsub}/subscription/num_undelivered_messages\"", align = "ALIGN_MAX", reduce = "REDUCE_MAX", by = ["resource.label.subscription_id"] },
    { title = "Instances", filter = "${local.run}/container/instance_count\"", align = "ALIGN_MAX", reduce = "REDUCE_SUM", by = ["resource.label.service_name"] },
    { title = "vCPU seconds that are paid for", filter = "${local.run}/container/cpu/allocation_time\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["resource.label.service_name"] },
    { title = "Errors that somebody must look at", filter = "${local.logged}/defects\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.event"] },
    { title = "Answers 5xx", filter = "${local.run}/request_count\" AND metric.label.response_code_class=\"5xx\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["resource.label.service_name"] },
  ]

  columns     = 2
  chart_width = 24
  chart_high  = 12
}

resource "google_monitoring_dashboard" "overview" {
  project = var.project_id

  dashboard_json = jsonencode({
    displayName = "Lectern (${var.name})"
    mosaicLayout = {
      columns = local.columns * local.chart_width
      tiles = [
        for index, chart in local.charts : {
          xPos   = index % local.columns * local.chart_width
          yPos   = floor(index / local.columns) * local.chart_high
          width  = local.chart_width
          height = local.chart_high
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [{
                plotType = "LINE"
                timeSeriesQuery = {
                  timeSeriesFilter = {
                    filter = chart.filter
                    aggregation = {
                      alignmentPeriod    = "300s"
                      perSeriesAligner   = chart.align
                      crossSeriesReducer = chart.reduce
                      groupByFields      = chart.by
                    }
                  }
                }
              }]
            }
          }
        }
      ]
    }
  })

  depends_on = [google_logging_metric.counter, google_logging_metric.distribution]
}
