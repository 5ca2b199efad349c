output "bucket" {
  description = "Name of the bucket."
  value       = google_storage_bucket.recordings.name
}

output "location" {
  description = "Where the bucket lies, as Eventarc spells it."
  value       = lower(google_storage_bucket.recordings.location)
}

output "agent" {
  description = "IAM member of Cloud Storage's service agent, which sends the events of its objects."
  value       = data.google_storage_project_service_account.agent.member
}
