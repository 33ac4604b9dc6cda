// A nightly job in Go, without a library: it asks the replica for its prompt, and a model for a summary.
//
//	0 3 * * * nightly < /var/lib/shop/figures.txt
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

type object = map[string]any

var client = http.Client{Timeout: time.Minute}

// ask posts JSON and reads the answer. A job can wait: what cannot be answered now is asked again for a minute. What
// fails ends the job, and cron mails it.
func ask(url, token string, question, answer any) {
	sent, _ := json.Marshal(question)
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		request, _ := http.NewRequest("POST", url, bytes.NewReader(sent))
		request.Header.Set("Content-Type", "application/json")
		if token != "" { // A node on the same machine needs none.
			request.Header.Set("Authorization", "Bearer "+token)
		}
		status := 503 // Without an answer, as if it were busy.
		response, err := client.Do(request)
		if err == nil {
			status = response.StatusCode
			said, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if status == 200 && json.Unmarshal(said, answer) == nil {
				return
			}
			err = fmt.Errorf("%s: %s: %s", url, response.Status, said)
		}
		// Any other 4xx does not pass by itself: the request is wrong, or the access token is.
		if mayPass := status >= 500 || status == 408 || status == 429; !mayPass || time.Now().After(end) {
			log.Fatal(err)
		}
	}
}

func main() {
	node, model := os.Getenv("BOOKHOLDER_URL"), os.Getenv("OPENAI_BASE_URL")
	figures, _ := io.ReadAll(os.Stdin)
	var prompt struct {
		Stamp    string
		Messages []object
		Model    struct{ Name string }
	}
	values := object{"variables": object{"figures": string(figures)}}
	ask(node+"/v1/render/reports/nightly", "", values, &prompt)
	var said struct {
		ID, Model string
		Choices   []struct{ Message struct{ Content string } }
		Usage     object
	}
	request := object{"model": prompt.Model.Name, "messages": prompt.Messages}
	ask(model+"/chat/completions", os.Getenv("OPENAI_API_KEY"), request, &said)
	fmt.Printf("%s\n(%s)\n", said.Choices[0].Message.Content, prompt.Stamp)
	report := object{"id": said.ID, "stamp": prompt.Stamp, "model": said.Model,
		"input_tokens": said.Usage["prompt_tokens"], "output_tokens": said.Usage["completion_tokens"]}
	ask(node+"/v1/responses", "", object{"responses": []object{report}}, &object{})
}
