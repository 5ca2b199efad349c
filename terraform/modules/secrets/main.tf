# Containers of secrets without their values: those must be in no state file. An operator adds a
# version with `gcloud secrets versions add`, and rotates by adding the next one.

locals {
  # Environment variable => what its secret is called after the deployment's name.
  secrets = {
    INTERNAL_SERVICE_KEY = "service-key"
    WEBHOOK_SECRET       = "webhook-secret"
  }

  # Who opens recordings, which anybody may have made, holds neither. The receiver signs the URLs of
  # sets with a key that comes of the webhook secret.
  readers = {
    INTERNAL_SERVICE_KEY = ["receiver", "confirmer"]
    WEBHOOK_SECRET       = ["receiver", "courier"]
  }

  # What opens the LMS's storage is for the one service that delivers.
  delivery_secrets = {
    SFTP_PRIVATE_KEY = "sftp-private-key"
    SFTP_PASSWORD    = "sftp-password"
  }
  delivering = { for variable, name in local.delivery_secrets : variable => name if variable == var.sftp_secret }
}

resource "google_secret_manager_secret" "secret" {
  for_each = merge(local.secrets, local.delivering)

  project             = var.project_id
  secret_id           = "${var.name}-${each.value}"
  labels              = var.labels
  deletion_protection = var.deletion_protection
  version_destroy_ttl = "604800s" # a version that is destroyed by mistake can be had back for a week

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = merge([
    for variable, services in local.readers : {
      for service in services : "${variable}/${service}" => { secret = variable, member = var.members[service] }
    }
  ]...)

  project   = var.project_id
  secret_id = google_secret_manager_secret.secret[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value.member
}

resource "google_secret_manager_secret_iam_member" "courier" {
  for_each = local.delivering

  project   = var.project_id
  secret_id = google_secret_manager_secret.secret[each.key].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = var.members["courier"]
}
