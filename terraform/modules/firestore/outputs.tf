output "database" {
  description = "Name of the database."
  value       = google_firestore_database.jobs.name
}

output "collection" {
  description = "Collection of the jobs."
  value       = var.collection
}
