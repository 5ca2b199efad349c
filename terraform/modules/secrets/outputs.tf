output "ids" {
  description = "Secret ids by the environment variable that they fill."
  value       = { for variable in keys(local.secrets) : variable => google_secret_manager_secret.secret[variable].secret_id }

  # A service that starts before it may read its secrets does not start.
  depends_on = [google_secret_manager_secret_iam_member.reader]
}

output "delivery_ids" {
  description = "The same for the secret that only the courier has."
  value       = { for variable in keys(local.delivering) : variable => google_secret_manager_secret.secret[variable].secret_id }

  depends_on = [google_secret_manager_secret_iam_member.courier]
}
