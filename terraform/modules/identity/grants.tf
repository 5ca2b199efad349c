# What each service may do, on the resource itself wherever Google Cloud lets a role be granted
# there. Logs go to standard output, which needs no grant.

locals {
  # Permissions on objects. No predefined role fits: each that may delete may also change metadata,
  # or read the bucket's policy.
  object_roles = {
    editor  = ["storage.objects.create", "storage.objects.delete", "storage.objects.get", "storage.objects.list"]
    reader  = ["storage.objects.delete", "storage.objects.get", "storage.objects.list"]
    remover = ["storage.objects.delete", "storage.objects.list"]
  }

  # A step that ends a job deletes its objects, so all of these may delete.
  objects = {
    receiver         = "editor"
    transcoder       = "editor"
    courier          = "reader"
    confirmer        = "remover"
    sweep            = "editor"
    upload-finalized = "editor"
  }

  # The next step of a job is published by whoever did the one before, and again by the sweep.
  publishes = {
    receiver         = ["transcode", "deliver"] # a result that was not taken, and its recording sent again
    transcoder       = ["transcode", "deliver"]
    courier          = ["deliver"]
    sweep            = ["transcode", "deliver"]
    upload-finalized = ["transcode", "deliver"]
  }

  publications = merge([
    for service, topics in local.publishes : { for topic in topics : "${service}/${topic}" => { service = service, topic = topic } }
  ]...)

  # Their `GET /ready` asks Pub/Sub for the subscription `transcode`.
  looks_at_subscription = toset(["receiver"])
}

resource "google_project_iam_custom_role" "objects" {
  for_each = local.object_roles

  project     = var.project_id
  role_id     = "${replace(var.name, "-", "_")}_objects_${each.key}"
  title       = "Lectern objects ${each.key}"
  description = "Granted on Lectern's bucket only."
  permissions = each.value
}

resource "google_storage_bucket_iam_member" "objects" {
  for_each = local.objects

  bucket = var.bucket
  role   = google_project_iam_custom_role.objects[each.value].name
  member = google_service_account.service[each.key].member
}

resource "google_pubsub_topic_iam_member" "publishes" {
  for_each = local.publications

  project = var.project_id
  topic   = var.topics[each.value.topic]
  role    = "roles/pubsub.publisher"
  member  = google_service_account.service[each.value.service].member
}

resource "google_pubsub_subscription_iam_member" "looks_at" {
  for_each = local.looks_at_subscription

  project      = var.project_id
  subscription = var.subscriptions["transcode"]
  role         = "roles/pubsub.viewer"
  member       = google_service_account.service[each.value].member
}

# Firestore's roles can be granted on the project only. The condition narrows this one to the one
# database; without it an account could read every database of the project.
resource "google_project_iam_member" "jobs" {
  for_each = google_service_account.service

  project = var.project_id
  role    = "roles/datastore.user"
  member  = each.value.member

  condition {
    title       = "${var.name}-database-only"
    description = "Only the database of Lectern's jobs."
    expression  = "resource.name == \"projects/${var.project_id}/databases/${var.database}\""
  }
}

# Pub/Sub's service agent makes the tokens that its pushes carry. Projects whose agent is older
# than April 2021 need this grant.
resource "google_service_account_iam_member" "pushes" {
  service_account_id = google_service_account.caller["push"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

# The receiver sends players on to Cloud Storage by URLs that IAM signs in its name; so it is a
# token creator of itself, and of nobody else.
resource "google_service_account_iam_member" "signs_urls" {
  service_account_id = google_service_account.service["receiver"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.service["receiver"].member
}
