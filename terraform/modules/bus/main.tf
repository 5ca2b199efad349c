# Topics and their subscriptions. The services know them by prefix and name alone, so a
# subscription is called like its topic.

locals {
  # Topic => the service that its messages are pushed to.
  work = {
    transcode = var.transcoder
    deliver   = var.courier
  }

  # Pub/Sub's longest: for a push it is also the longest time that a step may take.
  ack_deadline_s = 600

  # Pub/Sub's most. PUSH_DELIVERIES_MAX of the services must be the same number.
  max_delivery_attempts = 100

  # Pub/Sub's longest.
  keep_dead_letters_s = 31 * 86400

  agent = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic" "work" {
  for_each = local.work

  project      = var.project_id
  name         = "${var.name}-${each.key}"
  labels       = var.labels
  kms_key_name = var.kms_key_name

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_kms_crypto_key_iam_member.agent]
}

resource "google_pubsub_subscription" "work" {
  for_each = local.work

  project                    = var.project_id
  name                       = "${var.name}-${each.key}"
  topic                      = google_pubsub_topic.work[each.key].id
  labels                     = var.labels
  ack_deadline_seconds       = local.ack_deadline_s
  message_retention_duration = "604800s"

  push_config {
    push_endpoint = "${each.value.url}/push/${each.key}"

    oidc_token {
      service_account_email = var.push_account
      audience              = each.value.audience
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = local.max_delivery_attempts
  }

  # Without this a subscription ends after 31 days in which nobody sent a lecture.
  expiration_policy {
    ttl = ""
  }

  depends_on = [google_pubsub_topic_iam_member.buries]
}

resource "google_kms_crypto_key_iam_member" "agent" {
  count = var.kms_key_name == null ? 0 : 1

  crypto_key_id = var.kms_key_name
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = local.agent
}
