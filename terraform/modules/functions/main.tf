# What the clock and Google Cloud's events set off: three services of one image, which runs
# functions-framework.

locals {
  # The function that begins jobs; the others go on with them.
  begins = "upload-finalized"

  # What FUNCTION_TARGET names. Each is one request at a time: none of them is in a hurry.
  functions = {
    sweep = {
      target        = "sweep"
      invoker       = var.callers.scheduler.member
      url           = null
      memory        = "1Gi"
      timeout_s     = 180 # 45 s, and the patience with a store that does not answer
      max_instances = 1   # two sweeps at once would only do the same work
    }
    dead-letter = {
      target        = "dead_letter"
      invoker       = var.callers.push.member
      url           = var.dead_letter.url
      memory        = "512Mi"
      timeout_s     = 60
      max_instances = 2
    }
    upload-finalized = {
      target        = "upload_finalized"
      invoker       = var.callers.eventarc.member
      url           = null
      memory        = "1Gi"
      timeout_s     = 600 # the upload is read as a whole for its digest
      max_instances = 10
    }
  }
}

module "function" {
  source   = "../service"
  for_each = { for name, function in local.functions : name => function if name != local.begins }

  project_id          = var.project_id
  region              = var.region
  name                = "${var.name}-${each.key}"
  url                 = each.value.url
  image               = var.image
  service_account     = var.accounts[each.key]
  invokers            = { caller = each.value.invoker }
  audiences           = each.key == "dead-letter" ? [var.dead_letter.audience] : []
  environment         = merge(var.environment, { FUNCTION_TARGET = each.value.target })
  deletion_protection = var.deletion_protection
  labels              = var.labels

  cpu           = 1
  memory        = each.value.memory
  tmp_size      = "64Mi"
  concurrency   = 1
  timeout_s     = each.value.timeout_s
  max_instances = each.value.max_instances
}

module "upload_finalized" {
  source = "../service"

  # It begins jobs, as the receiver does: who reads their records knows a new release before.
  depends_on = [module.function, var.readers]

  project_id          = var.project_id
  region              = var.region
  name                = "${var.name}-${local.begins}"
  image               = var.image
  service_account     = var.accounts[local.begins]
  invokers            = { caller = local.functions[local.begins].invoker }
  environment         = merge(var.environment, { FUNCTION_TARGET = local.functions[local.begins].target })
  deletion_protection = var.deletion_protection
  labels              = var.labels

  cpu           = 1
  memory        = local.functions[local.begins].memory
  tmp_size      = "64Mi"
  concurrency   = 1
  timeout_s     = local.functions[local.begins].timeout_s
  max_instances = local.functions[local.begins].max_instances
}

moved {
  from = module.function["upload-finalized"]
  to   = module.upload_finalized
}

# A sweep that is missed is made good by the next one, so there are few retries.
resource "google_cloud_scheduler_job" "sweep" {
  project          = var.project_id
  region           = var.region
  name             = "${var.name}-sweep"
  description      = "Wakes jobs that wait and removes what belongs to nobody."
  schedule         = "* * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "180s"

  retry_config {
    retry_count          = 2
    min_backoff_duration = "5s"
    max_backoff_duration = "20s"
    max_retry_duration   = "60s"
  }

  http_target {
    uri         = module.function["sweep"].uri
    http_method = "POST"

    oidc_token {
      service_account_email = var.callers.scheduler.email
      audience              = module.function["sweep"].uri
    }
  }
}

# Every object that becomes whole; the function looks for those of direct uploads.
resource "google_eventarc_trigger" "upload_finalized" {
  project         = var.project_id
  name            = "${var.name}-upload-finalized"
  location        = var.bucket_location
  service_account = var.callers.eventarc.email
  labels          = var.labels

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.storage.object.v1.finalized"
  }

  matching_criteria {
    attribute = "bucket"
    value     = var.bucket
  }

  destination {
    cloud_run_service {
      service = module.upload_finalized.name
      region  = var.region
      path    = "/"
    }
  }
}
