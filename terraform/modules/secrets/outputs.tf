output "ids" {
  description = "Secret ids by the environment variable that they fill."
  value       = { for variable in keys(local.secrets) : variable => google_secret_manager_secret.secret[variable].secret_id }
}

output "read" {
  description = "Which of these variables each service reads. What is not named reads none."
  value = {
    for service in distinct(flatten(values(local.readers))) :
    service => [for variable, services in local.readers : variable if contains(services, service)]
  }

  # A service that starts before it may read its secrets does not start.
  depends_on = [google_secret_manager_secret_iam_member.reader]
}

output "delivery_ids" {
  description = "The same for the secret that only the courier has."
  value       = { for variable in keys(local.delivering) : variable => google_secret_manager_secret.secret[variable].secret_id }

  depends_on = [google_secret_manager_secret_iam_member.courier]
}
