output "uris" {
  description = "Base URLs of the services."
  value = {
    receiver   = module.receiver.uri
    transcoder = module.transcoder.uri
    courier    = module.courier.uri
    confirmer  = module.confirmer.uri
  }
}

output "readers" {
  description = "Services that go on with jobs which others have begun."
  value       = [module.transcoder.name, module.courier.name, module.confirmer.name]
}

output "environment" {
  description = "Environment that all services share, for the functions."
  value       = merge(local.common, var.settings)
}
