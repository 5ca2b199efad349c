output "prefix" {
  description = "PUBSUB_PREFIX of the services."
  value       = var.name
}

output "topics" {
  description = "Names of the topics that the services publish to, by what they are for."
  value       = { for key, topic in google_pubsub_topic.work : key => topic.name }
}

output "subscriptions" {
  description = "Names of their subscriptions."
  value       = { for key, subscription in google_pubsub_subscription.work : key => subscription.name }
}

output "dead_letters" {
  description = "Name of the subscription that keeps dead letters."
  value       = google_pubsub_subscription.dead_letters.name
}

output "max_delivery_attempts" {
  description = "PUSH_DELIVERIES_MAX of the services."
  value       = local.max_delivery_attempts
}
