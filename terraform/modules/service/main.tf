# One private service on Cloud Run: only the given callers may call it.

resource "google_cloud_run_v2_service" "this" {
  project              = var.project_id
  name                 = var.name
  location             = var.region
  ingress              = var.ingress
  labels               = var.labels
  custom_audiences     = var.audiences
  deletion_protection  = var.deletion_protection
  invoker_iam_disabled = false

  template {
    service_account                  = var.service_account
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    timeout                          = "${var.timeout_s}s"
    max_instance_request_concurrency = var.concurrency
    labels                           = var.labels

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    containers {
      image = var.image

      ports {
        name           = var.port_name
        container_port = 8080
      }

      resources {
        limits = {
          cpu    = tostring(var.cpu)
          memory = var.memory
        }

        # The CPU is paid for and there only while a request is served: nothing works between.
        cpu_idle          = true
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = { for name, value in var.environment : name => value if value != null }

        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = var.secrets

        content {
          name = env.key

          value_source {
            secret_key_ref {
              secret  = env.value.secret
              version = env.value.version
            }
          }
        }
      }

      # Cloud Run's probes speak HTTP/1, also where the port is called h2c.
      startup_probe {
        period_seconds    = 10
        timeout_seconds   = 10
        failure_threshold = 12

        http_get {
          path = "/ready"
        }
      }

      # Slow to give up: an encode takes all of the CPU, and a restart costs its work.
      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 30
        failure_threshold = 5

        http_get {
          path = "/health"
        }
      }

      volume_mounts {
        name       = "tmp"
        mount_path = "/tmp"
      }
    }

    # All files of a container are memory. The bound makes a file that is too large an error of its
    # request instead of the end of the instance.
    volumes {
      name = "tmp"

      empty_dir {
        medium     = "MEMORY"
        size_limit = var.tmp_size
      }
    }
  }

  lifecycle {
    # Written by whoever deployed last; no part of what is deployed.
    ignore_changes = [client, client_version]

    # Subscriptions push to a URL that is known before the service exists.
    postcondition {
      condition     = var.url == null ? true : contains(self.urls, var.url)
      error_message = "Cloud Run did not give ${var.name} the URL ${coalesce(var.url, "-")}; messages would be pushed to nobody."
    }
  }
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = var.invokers

  project  = var.project_id
  location = google_cloud_run_v2_service.this.location
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.invoker"
  member   = each.value
}
