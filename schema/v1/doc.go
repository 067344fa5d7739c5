// Package v1 writes canonical objects as people write them in core/v1 of today.
//
// [Write] undoes what schema/load does to a document of v1: what it writes loads as the same object, with the same hash.
// Fields that have their default are left out, amounts are written as quantities ("250m", "64Mi"), values of secrets in
// base64. Whether names fit the rules of v1 (ids of 2014 may not) is for the definitions to say, when the result is loaded.
//
// The package is pure.
package v1
