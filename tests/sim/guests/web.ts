import { HttpServer } from "skerry/http";

/** Answers each request with what it was asked. */

const server = new HttpServer((request, response) => {
  response.text(request.method + " " + request.path + "\n");
});
server.listen(80).value;
console.log("serving");
server.run();
