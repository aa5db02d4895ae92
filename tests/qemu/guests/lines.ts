// A division by zero, in a function that a method calls.
class Table {
  private readonly values: i32[] = [1, 2, 3];

  quotient(index: i32): i32 {
    return this.values[index] / (index - 2); // here
  }
}

let total = 0;
const table = new Table();
for (let i = 0; i < process.argv.length + 2; i++) total += table.quotient(i);
console.log(total.toString());
