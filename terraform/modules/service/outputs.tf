output "name" {
  description = "Name of the service."
  value       = google_cloud_run_v2_service.this.name
}

output "uri" {
  description = "Base URL of the service."
  value       = google_cloud_run_v2_service.this.uri
}
