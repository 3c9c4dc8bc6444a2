//! actix-api
