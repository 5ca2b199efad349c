# Where the images are pushed. They are deployed by digest, so a tag may move.

resource "google_artifact_registry_repository" "images" {
  # checkov:skip=CKV_GCP_84: images hold code, no recordings; Google's own encryption serves
  project       = var.project_id
  location      = var.region
  repository_id = var.name
  description   = "Lectern's container images."
  format        = "DOCKER"
  labels        = var.labels

  # A rollback needs the images of earlier releases; older ones cost money for nothing.
  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"

    most_recent_versions {
      keep_count = 20
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      tag_state  = "ANY"
      older_than = "7776000s"
    }
  }
}
