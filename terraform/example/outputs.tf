output "registry" {
  description = "Push the images to names that begin with this."
  value       = module.registry.url
}

output "bucket" {
  description = "Bucket of the recordings."
  value       = module.storage.bucket
}

output "secrets" {
  description = "Secrets that need a version each before the services can start, by environment variable."
  value       = module.secrets.ids
}

output "urls" {
  description = "Base URLs of the services that the LMS calls; null until they are deployed."
  value = {
    receiver  = one(module.services[*].uris.receiver)
    confirmer = one(module.services[*].uris.confirmer)
  }
}

output "dashboard" {
  description = "Id of the dashboard; null until it is made."
  value       = one(module.monitoring[*].dashboard)
}

output "dead_letters" {
  description = "Subscription that keeps dead letters for 31 days."
  value       = module.bus.dead_letters
}

output "lms" {
  description = "What to put into the LMS."
  value       = local.deployed == 0 ? "Nothing yet: push the images and set `images`." : <<-EOT
    Send recordings to      POST ${one(module.services[*].uris.receiver)}/video/receive
    Announce large ones to  POST ${one(module.services[*].uris.receiver)}/uploads
    Ask how they stand      GET  ${one(module.services[*].uris.receiver)}/status/VIDEO_ID
    Confirm results to      POST ${one(module.services[*].uris.confirmer)}/video/confirm

    Headers of each call:
      Authorization: Bearer ID_TOKEN     of one of lms_invokers, for the audience ${one(module.services[*].uris.receiver)} (or the confirmer's URL)
      X-Internal-Service-Key: KEY        gcloud secrets versions access latest --secret=${module.secrets.ids["INTERNAL_SERVICE_KEY"]}

    An ID token, on Google Cloud:    curl -H 'Metadata-Flavor: Google' 'http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity?audience=URL'
    An ID token, by a person:        gcloud auth print-identity-token --impersonate-service-account=ACCOUNT --audiences=URL
    In Python:                       google.oauth2.id_token.fetch_id_token(google.auth.transport.requests.Request(), URL)

    Results come to ${var.lms_store_url}, signed (Standard Webhooks). The secret to verify with:
      gcloud secrets versions access latest --secret=${module.secrets.ids["WEBHOOK_SECRET"]}
  EOT
}
