# The only two grants on the whole project without a condition. Eventarc asks for both before it
# makes a trigger of Cloud Storage: the events come by a topic that Eventarc itself makes, so there
# is no resource yet on which they could be granted, and Pub/Sub knows no conditions on names.

# One permission: to receive events that a trigger was made for.
resource "google_project_iam_member" "receives_events" {
  project = var.project_id
  role    = "roles/eventarc.eventReceiver"
  member  = google_service_account.caller["eventarc"].member
}

# Google's own agent of Cloud Storage, which nobody can use but Cloud Storage.
resource "google_project_iam_member" "storage_sends_events" {
  project = var.project_id
  role    = "roles/pubsub.publisher"
  member  = var.storage_agent
}
