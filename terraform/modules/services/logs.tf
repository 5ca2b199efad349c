# What Cloud Run itself writes of a request holds its URL. That of a set is a credential until it
# expires, so these requests are left out of the project's log; the receiver's own events hold
# none, and Cloud Run's metrics count the requests all the same.
#
# The URL of a direct upload is Cloud Storage's, which logs no requests of its own.

locals {
  sets_requests = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${var.name}-receiver\"",
    "log_id(\"run.googleapis.com/requests\")",
    "httpRequest.requestUrl=~\"^https?://[^/]+/sets/\"",
  ])
}

resource "google_logging_project_exclusion" "sets" {
  project     = var.project_id
  name        = "${var.name}-urls-of-sets"
  description = "Requests whose URL is a credential."
  filter      = local.sets_requests
}
