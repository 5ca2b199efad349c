output "emails" {
  description = "E-mails of the services' accounts."
  value       = { for key, account in google_service_account.service : key => account.email }
}

output "members" {
  description = "The same as IAM members."
  value       = { for key, account in google_service_account.service : key => account.member }
}

output "callers" {
  description = "E-mails and members of the accounts that Google calls services as."
  value = {
    for key, account in google_service_account.caller :
    key => { email = account.email, member = account.member }
  }
}
