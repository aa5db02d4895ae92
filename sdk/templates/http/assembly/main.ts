import { HttpServer } from "skerry/http";
import { Site } from "skerry/site";

/** What skerry.toml puts at /www. */
const site = new Site("/www");

const server = new HttpServer((request, response) => {
  if (request.path == "/hello") response.text("Hello from Skerry!\n");
  else site.serve(request, response);
});
server.listen(80).value;
console.log("serving on port 80");
server.run();
