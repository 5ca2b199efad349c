# Messages that were refused too often: one subscription has their jobs marked, another keeps them
# for a person to look at.

resource "google_pubsub_topic" "dead_letters" {
  project      = var.project_id
  name         = "${var.name}-dead-letters"
  labels       = var.labels
  kms_key_name = var.kms_key_name

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_kms_crypto_key_iam_member.agent]
}

# Pulled by nobody: what lies here is alerted on, looked at, and acknowledged by hand.
resource "google_pubsub_subscription" "dead_letters" {
  project                    = var.project_id
  name                       = "${var.name}-dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  labels                     = var.labels
  ack_deadline_seconds       = 60
  message_retention_duration = "${local.keep_dead_letters_s}s"

  expiration_policy {
    ttl = ""
  }
}

# functions-framework makes a messagePublished CloudEvent of a plain push, and reads the topic out
# of the path.
resource "google_pubsub_subscription" "dead_letter_function" {
  project                    = var.project_id
  name                       = "${var.name}-dead-letter-function"
  topic                      = google_pubsub_topic.dead_letters.id
  labels                     = var.labels
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  push_config {
    push_endpoint = "${var.dead_letter.url}/${google_pubsub_topic.dead_letters.id}"

    oidc_token {
      service_account_email = var.push_account
      audience              = var.dead_letter.audience
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  expiration_policy {
    ttl = ""
  }
}

# Burying is done by Pub/Sub's own service agent: it publishes to the dead-letter topic, and
# acknowledges on the subscription. Without both grants messages are delivered for ever.
resource "google_pubsub_topic_iam_member" "buries" {
  project = var.project_id
  topic   = google_pubsub_topic.dead_letters.name
  role    = "roles/pubsub.publisher"
  member  = local.agent
}

resource "google_pubsub_subscription_iam_member" "buries" {
  for_each = google_pubsub_subscription.work

  project      = var.project_id
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.agent
}
