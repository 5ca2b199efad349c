output "uris" {
  description = "Base URLs of the functions."
  value       = { for key, function in merge(module.function, { upload-finalized = module.upload_finalized }) : key => function.uri }
}

output "readers" {
  description = "Functions that go on with jobs which others have begun."
  value       = [for function in module.function : function.name]
}
