package handlers

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// openAPI describes every call under /api. It is made of the same rows as the routes, and of the very types that
// requests are read into and answers are written from.
func (a api) openAPI(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "public, max-age=300")
	return c.JSON(http.StatusOK, describe(a.PublicURL, apiCalls()))
}

// doc is an object of JSON: the document is written, never read here.
type doc map[string]any

func describe(server string, calls []apiCall) doc {
	s := schemas{}
	paths := doc{}
	for _, call := range calls {
		path, ok := paths[call.path].(doc)
		if !ok {
			path = doc{}
			paths[call.path] = path
		}
		path[strings.ToLower(call.method)] = s.operation(call)
	}
	s.of(reflect.TypeFor[errorJSON]())
	return doc{
		"openapi": "3.1.0",
		"info": doc{
			"title": "xSynesis", "version": "1",
			"description": "Amounts are strings of base units of USDC (6 decimals); amount_cents is rounded down. Times are RFC 3339 in UTC.",
		},
		"servers":  []doc{{"url": server}},
		"paths":    paths,
		"webhooks": describeEvents(),
		"components": doc{
			"schemas":         s,
			"securitySchemes": doc{"key": doc{"type": "http", "scheme": "bearer", "description": "A shop's API key: sk_test_… or sk_live_…"}},
		},
	}
}

// operation describes one call.
func (s schemas) operation(call apiCall) doc {
	name := strings.NewReplacer("/api/", "", "/", "_", ".", "_", "{", "", "}", "").Replace(call.path)
	op := doc{
		"operationId": strings.ToLower(call.method) + "_" + name, "summary": call.summary, "tags": []string{section(call.path)},
		"parameters": parameters(call), "responses": s.responses(call), "security": security(call),
	}
	if call.upload {
		op["requestBody"] = doc{"required": true, "content": doc{echo.MIMEMultipartForm: doc{"schema": doc{
			"type": "object", "required": []string{"file"}, "properties": doc{
				"purpose": doc{"type": "string", "enum": []string{"image", "file"}, "description": "What it is for; `image` if not given. It stands before the file."},
				"file":    doc{"type": "string", "format": "binary", "description": "The file."},
			},
		}}}}
	}
	if call.request != nil {
		schema := s.of(reflect.TypeOf(call.request))
		if call.required != nil {
			schema = doc{"allOf": []doc{schema}, "required": call.required}
		}
		op["requestBody"] = doc{"required": !call.payment, "content": doc{echo.MIMEApplicationJSON: doc{"schema": schema}}}
	}
	return op
}

// security: public calls take a shop's key as well; the others name the scope that it must have.
func security(call apiCall) []doc {
	if call.browser {
		return []doc{{}}
	}
	if call.public() {
		return []doc{{}, {"key": []string{}}}
	}
	return []doc{{"key": []string{string(call.scope)}}}
}

func parameters(call apiCall) []doc {
	text := doc{"type": "string"}
	out := []doc{}
	for part := range strings.SplitSeq(call.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			out = append(out, doc{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": text})
		}
	}
	for _, p := range call.query {
		out = append(out, doc{"name": p.name, "in": "query", "description": p.doc, "schema": text})
	}
	switch {
	case call.payment:
		for _, name := range []string{"PAYMENT-SIGNATURE", "X-PAYMENT"} {
			out = append(out, doc{"name": name, "in": "header", "description": "A payment as x402 sends it.", "schema": text})
		}
	case call.method == http.MethodPost && !call.browser && !call.upload:
		out = append(out, doc{
			"name": headerKey, "in": "header", "schema": doc{"type": "string", "maxLength": maxKey},
			"description": "The same key with the same body gets the first answer again. At least 22 characters without a shop's key.",
		})
	}
	return out
}

func (s schemas) responses(call apiCall) doc {
	content := doc{}
	if call.answer != nil {
		content[echo.MIMEApplicationJSON] = doc{"schema": s.of(reflect.TypeOf(call.answer))}
	}
	for _, media := range call.content {
		content[media] = doc{"schema": doc{"type": "string"}}
	}
	good := doc{"description": http.StatusText(call.status), "content": content}
	if len(call.headers) > 0 {
		headers := doc{}
		for name, meaning := range call.headers {
			headers[name] = doc{"description": meaning, "schema": doc{"type": "string"}}
		}
		good["headers"] = headers
	}
	out := doc{strconv.Itoa(call.status): good}
	refusals := append([]int{http.StatusTooManyRequests}, call.refusals...)
	if call.method == http.MethodPost {
		refusals = append(refusals, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge)
	}
	for _, status := range refusals {
		refusal := doc{
			"description": http.StatusText(status), "content": doc{echo.MIMEApplicationJSON: doc{"schema": s.of(refusalType(status))}},
		}
		if status == http.StatusTooManyRequests {
			refusal["headers"] = doc{"Retry-After": doc{"description": "After how many seconds to ask again.", "schema": doc{"type": "string"}}}
		}
		out[strconv.Itoa(status)] = refusal
	}
	return out
}

func refusalType(status int) reflect.Type {
	switch status {
	case http.StatusAccepted:
		return reflect.TypeFor[pendingJSON]()
	case http.StatusPaymentRequired:
		return reflect.TypeFor[refusalJSON]()
	default:
		return reflect.TypeFor[errorJSON]()
	}
}

// schemas are the named types of requests and answers.
type schemas map[string]any

// of describes a type as it stands in JSON; a struct with a name is described once and referred to.
func (s schemas) of(t reflect.Type) doc {
	switch t {
	case reflect.TypeFor[time.Time]():
		return doc{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return doc{"type": "object"}
	}
	if f, ok := reflect.Zero(t).Interface().(interface{ example() any }); ok {
		return s.of(reflect.TypeOf(f.example()))
	}
	switch t.Kind() {
	case reflect.String:
		return doc{"type": "string"}
	case reflect.Bool:
		return doc{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64:
		return doc{"type": "integer"}
	case reflect.Slice:
		return doc{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return doc{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Pointer:
		return nullable(s.of(t.Elem()))
	case reflect.Struct:
		return s.named(t)
	default:
		return doc{}
	}
}

func nullable(schema doc) doc {
	if _, ok := schema["$ref"]; ok {
		return doc{"anyOf": []doc{schema, {"type": "null"}}}
	}
	schema["type"] = []any{schema["type"], "null"}
	return schema
}

func (s schemas) named(t reflect.Type) doc {
	name := strings.TrimSuffix(t.Name(), "JSON")
	if strings.Contains(name, "[") {
		return s.members(t)
	}
	name = strings.ToUpper(name[:1]) + name[1:]
	if _, ok := s[name]; !ok {
		s[name] = doc{} // keeps a type that holds itself from being followed for ever
		s[name] = s.members(t)
	}
	return doc{"$ref": "#/components/schemas/" + name}
}

func (s schemas) members(t reflect.Type) doc {
	properties, required := doc{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || !f.IsExported() {
			continue
		}
		member := s.of(f.Type)
		if text := meaning(t, f, name); text != "" {
			member["description"] = text
		}
		properties[name] = member
		if !strings.Contains(options, "omit") && !strings.HasSuffix(t.Name(), "Request") && !strings.HasSuffix(t.Name(), "Update") {
			required = append(required, name)
		}
	}
	slices.Sort(required)
	schema := doc{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}
