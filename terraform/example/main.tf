# Lectern in one project. Without images only what they need is made: registry, secrets, bucket,
# database, topics, accounts.

data "google_project" "this" {
  project_id = var.project_id
}

locals {
  labels = merge({ app = "lectern", deployment = var.name }, var.labels)
  number = data.google_project.this.number

  # Cloud Run's deterministic URL. So subscriptions can be made before the services that they push
  # to: the receiver asks for one before it calls itself ready.
  pushed = {
    for service in ["transcoder", "courier", "dead-letter"] : service => {
      url      = "https://${var.name}-${service}-${local.number}.${var.region}.run.app"
      audience = "${var.name}-${service}"
    }
  }

  deployed = var.images == null ? 0 : 1

  secrets = {
    for service, variables in module.secrets.read : service => {
      for variable in variables :
      variable => { secret = module.secrets.ids[variable], version = var.secret_versions[variable] }
    }
  }

  delivery_secrets = {
    for variable, id in module.secrets.delivery_ids :
    variable => { secret = id, version = var.sftp.secret_version }
  }
}

module "apis" {
  source = "../modules/apis"

  project_id = var.project_id
}

module "registry" {
  source     = "../modules/registry"
  depends_on = [module.apis]

  project_id = var.project_id
  region     = var.region
  name       = var.name
  labels     = local.labels
}

module "secrets" {
  source     = "../modules/secrets"
  depends_on = [module.apis]

  project_id          = var.project_id
  region              = var.region
  name                = var.name
  members             = module.identity.members
  sftp_secret         = try(var.sftp.secret, null)
  deletion_protection = var.deletion_protection
  labels              = local.labels
}

module "storage" {
  source     = "../modules/storage"
  depends_on = [module.apis]

  project_id        = var.project_id
  bucket_name       = coalesce(var.bucket_name, "${var.project_id}-${var.name}-recordings")
  location          = var.region
  backstop_days     = var.backstop_days
  upload_ttl_s      = var.times.upload_ttl_s
  store_retry_for_s = var.times.store_retry_for_s
  confirm_ttl_s     = var.times.confirm_ttl_s
  upload_origin     = var.upload_origin
  kms_key_name      = var.kms_key_name
  labels            = local.labels
}

module "firestore" {
  source     = "../modules/firestore"
  depends_on = [module.apis]

  project_id             = var.project_id
  location               = var.region
  database               = var.firestore_database
  point_in_time_recovery = var.point_in_time_recovery
  deletion_protection    = var.deletion_protection
}

module "bus" {
  source     = "../modules/bus"
  depends_on = [module.apis]

  project_id     = var.project_id
  project_number = local.number
  region         = var.region
  name           = var.name
  push_account   = module.identity.callers["push"].email
  transcoder     = local.pushed["transcoder"]
  courier        = local.pushed["courier"]
  dead_letter    = local.pushed["dead-letter"]
  kms_key_name   = var.kms_key_name
  labels         = local.labels
}

module "identity" {
  source = "../modules/identity"

  project_id     = var.project_id
  project_number = local.number
  name           = var.name
  bucket         = module.storage.bucket
  database       = module.firestore.database
  topics         = module.bus.topics
  subscriptions  = module.bus.subscriptions
  storage_agent  = module.storage.agent
}

module "services" {
  source     = "../modules/services"
  count      = local.deployed
  depends_on = [module.identity, module.bus, module.firestore]

  project_id          = var.project_id
  region              = var.region
  name                = var.name
  images              = var.images
  accounts            = module.identity.emails
  lms_invokers        = var.lms_invokers
  push_account        = module.identity.callers["push"].email
  push_member         = module.identity.callers["push"].member
  urls                = { for service, push in local.pushed : service => push.url }
  audiences           = { for service, push in local.pushed : service => push.audience }
  push_deliveries_max = module.bus.max_delivery_attempts
  bucket              = module.storage.bucket
  database            = module.firestore.database
  collection          = module.firestore.collection
  prefix              = module.bus.prefix
  readers             = module.functions[0].readers
  secrets             = local.secrets
  delivery_secrets    = local.delivery_secrets
  lms_store_url       = var.lms_store_url
  sftp                = var.sftp
  public_url          = var.public_url
  upload_origin       = var.upload_origin
  times               = var.times
  settings            = var.settings
  log_level           = var.log_level
  front_ingress       = var.front_ingress
  receiver            = var.receiver
  transcoder          = var.transcoder
  courier             = var.courier
  confirmer           = var.confirmer
  deletion_protection = var.deletion_protection
  labels              = local.labels
}

module "functions" {
  source     = "../modules/functions"
  count      = local.deployed
  depends_on = [module.identity, module.bus, module.firestore]

  project_id          = var.project_id
  region              = var.region
  name                = var.name
  image               = var.images.functions
  accounts            = module.identity.emails
  callers             = module.identity.callers
  dead_letter         = local.pushed["dead-letter"]
  bucket              = module.storage.bucket
  bucket_location     = module.storage.location
  environment         = module.services[0].environment
  readers             = module.services[0].readers
  deletion_protection = var.deletion_protection
  labels              = local.labels
}

module "monitoring" {
  source     = "../modules/monitoring"
  count      = local.deployed
  depends_on = [module.apis]

  project_id            = var.project_id
  name                  = var.name
  subscriptions         = module.bus.subscriptions
  dead_letters          = module.bus.dead_letters
  notification_channels = var.notification_channels
  labels                = local.labels
}
