# Which log lines the metrics count and the alerts match: every filter of the deployment stands
# here, as a plain string over what the services write. Each is joined with local.scope.

locals {
  filters = {
    jobs_received      = "jsonPayload.event=\"job.received\""
    jobs_completed     = "jsonPayload.event=\"job.confirmed\" AND jsonPayload.state=\"completed\""
    jobs_failed        = "jsonPayload.event=(\"job.failed\" OR \"job.poisoned\") AND jsonPayload.state=\"failed\""
    jobs_retried       = "jsonPayload.event=\"job.retried\""
    jobs_stuck         = "jsonPayload.event=\"job.woken\" AND jsonPayload.state=(\"queued\" OR \"processing\" OR \"storing\") AND jsonPayload.waited_s>3600"
    jobs_expired       = "jsonPayload.event=\"job.woken\" AND jsonPayload.state=\"expired\""
    callbacks_deferred = "jsonPayload.event=\"job.deliverydeferred\""
    callbacks_refused  = "jsonPayload.event=(\"job.deliveryrefused\" OR \"job.poisoned\") AND jsonPayload.state=\"store_failed\""
    messages_buried    = "jsonPayload.event=(\"message.buried\" OR \"dead_letter.malformed\")"
    defects            = "jsonPayload.event=(\"worker.error\" OR \"http.internal_error\" OR \"push.malformed\" OR \"push.refused\" OR \"sweep.error\")"
    http_errors        = "jsonPayload.event=\"http.request\" AND jsonPayload.status>=500"
    http_requests      = "jsonPayload.event=\"http.request\""
    encodes            = "jsonPayload.event=\"job.encoded\" AND jsonPayload.action=\"encoded\""
    results            = "jsonPayload.event=\"job.encoded\""
    steps              = "jsonPayload.event=\"push.done\""
  }

  scope = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^${var.name}-\""
}
