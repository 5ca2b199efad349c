# One account a service, and one for each way in which Google calls a service. What an account may
# do stands in grants.tf; who may call a service stands with the service.

locals {
  services = {
    receiver         = "takes recordings"
    transcoder       = "compresses recordings"
    courier          = "hands results to the LMS"
    confirmer        = "ends the handshake"
    sweep            = "makes good what was lost"
    dead-letter      = "marks jobs of dead letters"
    upload-finalized = "starts jobs of direct uploads"
  }

  callers = {
    push      = "Pub/Sub calls services as this account"
    scheduler = "Cloud Scheduler calls services as this account"
    eventarc  = "Eventarc calls services as this account"
  }
}

resource "google_service_account" "service" {
  for_each = local.services

  project      = var.project_id
  account_id   = "${var.name}-${each.key}"
  display_name = "Lectern ${each.key}"
  description  = each.value
}

resource "google_service_account" "caller" {
  for_each = local.callers

  project      = var.project_id
  account_id   = "${var.name}-${each.key}"
  display_name = "Lectern ${each.key}"
  description  = each.value
}
