output "uris" {
  description = "Base URLs of the functions."
  value       = { for key, function in module.function : key => function.uri }
}
