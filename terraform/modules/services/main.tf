# The four services that answer requests. Who may call them: the LMS the receiver and the
# confirmer, Pub/Sub the transcoder and the courier.

locals {
  lms = { for member in var.lms_invokers : member => member }
}

module "receiver" {
  source = "../service"

  # What a new release writes into a record must be known to who reads it first: who begins jobs
  # comes last.
  depends_on = [module.transcoder, module.courier, module.confirmer, var.readers]

  project_id          = var.project_id
  region              = var.region
  name                = "${var.name}-receiver"
  image               = var.images.receiver
  service_account     = var.accounts.receiver
  invokers            = local.lms
  ingress             = var.front_ingress
  environment         = merge(local.common, local.receiver, var.settings)
  secrets             = var.secrets.receiver
  deletion_protection = var.deletion_protection
  labels              = var.labels

  # A request over HTTP/1 has at most 32 MiB; one over HTTP/2 has no bound, all the way only if the
  # container speaks it too.
  port_name = "h2c"

  cpu           = 2
  memory        = "2Gi"
  tmp_size      = "256Mi"                  # sockets; uploads are streamed and never lie in a file
  concurrency   = var.receiver.threads - 4 # the rest is for probes
  timeout_s     = 3600                     # Cloud Run's longest: a slow line, a large recording
  min_instances = var.receiver.min_instances
  max_instances = var.receiver.max_instances
}

module "transcoder" {
  source = "../service"

  project_id          = var.project_id
  region              = var.region
  name                = "${var.name}-transcoder"
  url                 = var.urls.transcoder
  image               = var.images.transcoder
  service_account     = var.accounts.transcoder
  invokers            = { push = var.push_member }
  audiences           = [var.audiences.transcoder]
  environment         = merge(local.common, local.pushed, local.transcoder, var.settings)
  deletion_protection = var.deletion_protection
  labels              = var.labels

  cpu           = var.transcoder.cpu
  memory        = var.transcoder.memory
  tmp_size      = var.transcoder.tmp_size
  concurrency   = 1   # an encode takes all of the CPU
  timeout_s     = 600 # as long as Pub/Sub waits
  min_instances = var.transcoder.min_instances
  max_instances = var.transcoder.max_instances
}

# The transcoder's image once more, small: waiting for the LMS must not cost eight vCPUs.
module "courier" {
  source = "../service"

  project_id          = var.project_id
  region              = var.region
  name                = "${var.name}-courier"
  url                 = var.urls.courier
  image               = var.images.transcoder
  service_account     = var.accounts.courier
  invokers            = { push = var.push_member }
  audiences           = [var.audiences.courier]
  environment         = merge(local.common, local.pushed, local.courier, var.settings)
  secrets             = merge(var.secrets.courier, var.delivery_secrets)
  deletion_protection = var.deletion_protection
  labels              = var.labels

  cpu           = 1
  memory        = "1Gi"
  tmp_size      = "128Mi" # results are streamed out of the bucket
  concurrency   = 1
  timeout_s     = 600
  min_instances = 0
  max_instances = var.courier.max_instances
}

module "confirmer" {
  source = "../service"

  project_id          = var.project_id
  region              = var.region
  name                = "${var.name}-confirmer"
  image               = var.images.confirmer
  service_account     = var.accounts.confirmer
  invokers            = local.lms
  ingress             = var.front_ingress
  environment         = merge(local.common, local.confirmer, var.settings)
  secrets             = var.secrets.confirmer
  deletion_protection = var.deletion_protection
  labels              = var.labels

  cpu           = 1
  memory        = "512Mi"
  tmp_size      = "64Mi"
  concurrency   = 6 # two of its threads are for probes
  timeout_s     = 60
  min_instances = var.confirmer.min_instances
  max_instances = var.confirmer.max_instances
}
