# The bucket's own clean-up must never come before the product is done with an object.

mock_provider "google" {}

variables {
  project_id        = "demo-project"
  bucket_name       = "demo-recordings"
  location          = "europe-west1"
  upload_ttl_s      = 86400
  store_retry_for_s = 259200
  confirm_ttl_s     = 86400
}

run "the_default_is_late_enough" {
  command = plan
}

run "the_last_day_that_is_needed_is_allowed" {
  command = plan

  variables {
    backstop_days = 16
  }
}

run "a_day_less_is_refused" {
  command = plan

  variables {
    backstop_days = 15
  }

  expect_failures = [google_storage_bucket.recordings]
}

run "longer_callbacks_want_a_later_backstop" {
  command = plan

  variables {
    store_retry_for_s = 1209600
  }

  expect_failures = [google_storage_bucket.recordings]
}
