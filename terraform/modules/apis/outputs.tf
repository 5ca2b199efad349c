output "enabled" {
  description = "The APIs that are on."
  value       = [for api in google_project_service.needed : api.service]
}
