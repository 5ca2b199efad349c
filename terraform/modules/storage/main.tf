# The bucket of uploads, pieces and outputs. The product deletes them itself, and for good: so
# there are no versions and no soft deletion. The lifecycle rules are a backstop for what all else
# missed, and must never come before the product is done.

locals {
  day_s = 86400

  # An object is made when its upload is announced or arrives. Longest time until it is let go by
  # itself: the upload, an outage that is waited out, then twice (a result may be delivered a second time) the window of a delivery
  # and the wait for the confirmation, and a day for the queue. By SFTP a delivery has two windows:
  # the file is put in place, then the LMS is told.
  longest_use_days = ceil(
    (var.upload_ttl_s + var.store_retry_for_s + 2 * (2 * var.store_retry_for_s + var.confirm_ttl_s)) / local.day_s
  ) + 1
}

data "google_storage_project_service_account" "agent" {
  project = var.project_id
}

resource "google_storage_bucket" "recordings" {
  # checkov:skip=CKV_GCP_62: access logs would be objects that name recordings; Cloud Audit Logs can be turned on for the project instead
  # checkov:skip=CKV_GCP_78: a version kept would be a recording that was promised to be deleted
  project  = var.project_id
  name     = var.bucket_name
  location = var.location
  labels   = var.labels

  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  versioning {
    enabled = false
  }

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  # Pages of any origin may read what a signed URL opens: the URL is the authority. Nobody gets
  # anything without one.
  cors {
    origin          = ["*"]
    method          = ["GET", "HEAD"]
    response_header = ["Accept-Ranges", "Content-Length", "Content-Range", "Content-Type", "ETag"]
    max_age_seconds = 3600
  }

  # And those of one origin may send what the URL of a direct upload is for.
  dynamic "cors" {
    for_each = var.upload_origin == null ? [] : [var.upload_origin]

    content {
      origin          = [cors.value]
      method          = ["PUT"]
      response_header = ["Content-Range", "Content-Type", "Range"]
      max_age_seconds = 3600
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      age = var.backstop_days
    }
  }

  # Multipart uploads of the XML API. Lectern begins none; resumable sessions end after a week.
  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }

    condition {
      age = 1
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key_name == null ? [] : [var.kms_key_name]

    content {
      default_kms_key_name = encryption.value
    }
  }

  lifecycle {
    precondition {
      condition     = var.backstop_days >= local.longest_use_days
      error_message = "backstop_days must be at least ${local.longest_use_days}: with these times the product may still need an object that old."
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.agent]
}

resource "google_kms_crypto_key_iam_member" "agent" {
  count = var.kms_key_name == null ? 0 : 1

  crypto_key_id = var.kms_key_name
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = data.google_storage_project_service_account.agent.member
}
