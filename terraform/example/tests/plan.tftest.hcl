# `terraform test` in this folder: what is planned, and which inputs are refused. Nothing is made,
# and Google is not asked: the provider is a stand-in.

mock_provider "google" {
  mock_data "google_project" {
    defaults = {
      number = "123456789012"
    }
  }

  mock_data "google_storage_project_service_account" {
    defaults = {
      member = "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com"
    }
  }
}

variables {
  project_id    = "demo-project"
  region        = "europe-west1"
  lms_store_url = "https://lms.example.org/store"
  lms_invokers  = ["serviceAccount:lms@demo-project.iam.gserviceaccount.com"]
  images = {
    receiver   = "r/receiver@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    transcoder = "r/transcoder@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    confirmer  = "r/confirmer@sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
    functions  = "r/functions@sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
  }
}

run "everything_is_planned" {
  command = plan

  assert {
    condition     = length(module.services) == 1 && length(module.functions) == 1 && length(module.monitoring) == 1
    error_message = "With images the services, the functions and the monitoring are made."
  }

  assert {
    condition     = output.bucket == "demo-project-lectern-recordings"
    error_message = "Without a name the bucket is called after project and deployment."
  }
}

run "without_images_only_the_foundation_is_planned" {
  command = plan

  variables {
    images = null
  }

  assert {
    condition     = length(module.services) == 0 && output.urls.receiver == null
    error_message = "Without images there is nothing to run."
  }
}

run "an_image_by_tag_is_refused" {
  command = plan

  variables {
    images = {
      receiver   = "r/receiver:latest"
      transcoder = "r/transcoder:latest"
      confirmer  = "r/confirmer:latest"
      functions  = "r/functions:latest"
    }
  }

  expect_failures = [var.images]
}

run "everybody_as_a_caller_is_refused" {
  command = plan

  variables {
    lms_invokers = ["allUsers"]
  }

  expect_failures = [var.lms_invokers]
}

run "a_webhook_without_tls_is_refused" {
  command = plan

  variables {
    lms_store_url = "http://lms.example.org/store"
  }

  expect_failures = [var.lms_store_url]
}

run "a_secret_among_the_settings_is_refused" {
  command = plan

  variables {
    settings = { WEBHOOK_SECRET = "whsec_x" }
  }

  expect_failures = [var.settings]
}

run "a_transcoder_without_room_for_its_files_is_refused" {
  command = plan

  variables {
    transcoder = { memory = "8Gi", tmp_size = "4Gi" }
  }

  expect_failures = [var.transcoder]
}

run "an_upload_that_outlives_its_session_is_refused" {
  command = plan

  variables {
    times = { upload_ttl_s = 604800 }
  }

  expect_failures = [var.times]
}

run "who_opens_recordings_reads_no_secret" {
  command = plan

  assert {
    condition     = toset(keys(module.secrets.read)) == toset(["receiver", "confirmer", "courier"])
    error_message = "The transcoder and the functions need no secret."
  }
}

run "with_sftp_only_the_courier_gets_its_key" {
  command = plan

  variables {
    sftp = {
      host        = "files.example.org"
      user        = "lectern"
      known_hosts = "files.example.org ssh-ed25519 AAAA"
      confirm_api = "https://lms.example.org/stored"
    }
  }

  assert {
    condition     = keys(module.secrets.delivery_ids) == tolist(["SFTP_PRIVATE_KEY"])
    error_message = "There is one secret more, which is no secret of all services."
  }
}

run "sftp_without_host_keys_is_refused" {
  command = plan

  variables {
    sftp = {
      host        = "files.example.org"
      user        = "lectern"
      known_hosts = " "
      confirm_api = "https://lms.example.org/stored"
    }
  }

  expect_failures = [var.sftp]
}
