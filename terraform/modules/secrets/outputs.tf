output "ids" {
  description = "Secret ids by the environment variable that they fill."
  value       = { for variable, secret in google_secret_manager_secret.secret : variable => secret.secret_id }

  # A service that starts before it may read its secrets does not start.
  depends_on = [google_secret_manager_secret_iam_member.reader]
}
